// Decodes and draws the newest frame only: one that arrives while another decodes replaces the one that waits.

import type { Frame } from "./protocol";

const decode = (jpeg: Uint8Array<ArrayBuffer>): Promise<ImageBitmap> =>
  createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));

function draw(canvas: HTMLCanvasElement | null, picture: ImageBitmap): void {
  if (!canvas) return;
  if (canvas.width !== picture.width || canvas.height !== picture.height) {
    canvas.width = picture.width;
    canvas.height = picture.height;
  }
  canvas.getContext("2d", { alpha: false })?.drawImage(picture, 0, 0);
}

/** A few pixels of the picture, stretched softly behind it by the style sheet: the glass lets light through. */
function glow(canvas: HTMLCanvasElement | null, picture: ImageBitmap): void {
  canvas?.getContext("2d", { alpha: false })?.drawImage(picture, 0, 0, canvas.width, canvas.height);
}

export class Screen {
  model: HTMLCanvasElement | null = null;
  simulator: HTMLCanvasElement | null = null;
  light: HTMLCanvasElement | null = null;
  skipped = 0; // frames replaced here before they were decoded
  private next: Frame | null = null;
  private busy = false;
  private drawn = 0;

  constructor(
    private readonly onDrawn: (frame: Frame) => void,
    private readonly onError: (error: unknown) => void,
  ) {}

  show(frame: Frame): void {
    if (this.next) this.skipped += 1;
    this.next = frame;
    if (!this.busy) void this.pump();
  }

  private async pump(): Promise<void> {
    this.busy = true;
    while (this.next) {
      const frame = this.next;
      this.next = null;
      try {
        const [model, simulator] = await Promise.all([
          decode(frame.model_jpeg),
          frame.sim_jpeg.length ? decode(frame.sim_jpeg) : null,
        ]);
        draw(this.model, model);
        if (simulator) draw(this.simulator, simulator);
        if (this.drawn++ % 4 === 0) glow(this.light, model);
        model.close();
        simulator?.close();
        this.onDrawn(frame);
      } catch (error) {
        this.onError(error);
      }
    }
    this.busy = false;
  }
}
