// Decodes and draws the newest frame only: one that arrives while another decodes replaces the one that waits.

import type { Frame } from "./protocol";

const GLOW_MS = 250;

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

/** The picture, small and blurred, fading to nothing at the rim: the glass lets light through. */
function glow(canvas: HTMLCanvasElement | null, picture: ImageBitmap): void {
  const ctx = canvas?.getContext("2d");
  if (!canvas || !ctx) return;
  const { width, height } = canvas;
  ctx.globalCompositeOperation = "copy";
  ctx.filter = "blur(4px)";
  ctx.drawImage(picture, 0, 0, width, height);
  const fade = ctx.createRadialGradient(0, 0, 0.55, 0, 0, 1);
  fade.addColorStop(0, "#000");
  fade.addColorStop(1, "transparent");
  ctx.globalCompositeOperation = "destination-in";
  ctx.filter = "none";
  ctx.setTransform(width / 2, 0, 0, height / 2, width / 2, height / 2);
  ctx.fillStyle = fade;
  ctx.fillRect(-1, -1, 2, 2);
  ctx.resetTransform();
}

export class Screen {
  model: HTMLCanvasElement | null = null;
  simulator: HTMLCanvasElement | null = null;
  light: HTMLCanvasElement | null = null;
  skipped = 0; // frames replaced here before they were decoded
  private next: Frame | null = null;
  private busy = false;
  private glowed_ms = 0;

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
        this.shine(model);
        model.close();
        simulator?.close();
        this.onDrawn(frame);
      } catch (error) {
        this.onError(error);
      }
    }
    this.busy = false;
  }

  /** A few times a second, and only where the style sheet shows it (in the dark). */
  private shine(picture: ImageBitmap): void {
    const now = performance.now();
    if (now - this.glowed_ms < GLOW_MS || !this.light?.offsetParent) return;
    this.glowed_ms = now;
    glow(this.light, picture);
  }
}
