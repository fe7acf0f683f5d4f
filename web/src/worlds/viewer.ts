// A map on a canvas: drawn by three.js with one lit colour a face, orbited or walked through. This file alone (and
// gltf.ts) imports three.js, which pages load when they need it.

import * as THREE from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import * as cameras from "./camera";
import type { BlockMap, Cell } from "./map";
import { chunksAround, chunksOf, facesOf } from "./mesh";
import { SKY } from "./palette";
import { cast, type Hit } from "./ray";

THREE.ColorManagement.enabled = false; // colours are the screen's own, as the palette says

const WALK_FOVY_DEG = 75; // of worlds/blocks/camera.py
const INK = 0x1a231a;
const REMOVING = 0xc0311a;
const MARGIN = 0.004; // blocks by which an outline stands off what it surrounds

/** The meshes of a map: one a chunk, in blocks from the map's corner. */
export class Blocks {
  readonly group = new THREE.Group();
  private readonly meshes = new Map<string, THREE.Mesh>();
  private readonly lines = { value: 0 };
  private readonly material = withLines(new THREE.MeshBasicMaterial({ vertexColors: true, toneMapped: false }), this.lines);

  constructor(private readonly map: BlockMap) {
    const [nx, ny, nz] = chunksOf(map);
    for (let x = 0; x < nx; x++) for (let y = 0; y < ny; y++) for (let z = 0; z < nz; z++) this.build([x, y, z]);
  }

  /** Builds anew what a change of these cells can have changed. */
  update(cells: Iterable<Readonly<Cell>>): void {
    for (const key of chunksAround(this.map, cells)) this.build(key.split(",").map(Number) as Cell);
  }

  /** Darkens the borders of blocks, by which builders count; 0 draws each face in one colour. */
  set outlines(strength: number) {
    this.lines.value = strength;
  }

  dispose(): void {
    for (const mesh of this.meshes.values()) mesh.geometry.dispose();
    this.material.dispose();
  }

  private build(chunk: Cell): void {
    const key = chunk.join();
    const old = this.meshes.get(key);
    if (old) {
      this.group.remove(old);
      old.geometry.dispose();
      this.meshes.delete(key);
    }
    const faces = facesOf(this.map, chunk);
    if (!faces.count) return;
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(faces.positions, 3));
    geometry.setAttribute("color", new THREE.BufferAttribute(faces.colours, 3, true));
    geometry.setIndex(new THREE.BufferAttribute(faces.indices, 1));
    const mesh = new THREE.Mesh(geometry, this.material);
    this.meshes.set(key, mesh);
    this.group.add(mesh);
  }
}

/** Lines where a coordinate is whole: two of a face's three axes vary on it, and its own is left out. */
function withLines(material: THREE.MeshBasicMaterial, strength: { value: number }): THREE.MeshBasicMaterial {
  material.onBeforeCompile = (shader) => {
    shader.uniforms["lines"] = strength;
    shader.vertexShader = shader.vertexShader
      .replace("void main() {", "varying vec3 place;\nvoid main() {\n\tplace = position;");
    shader.fragmentShader = shader.fragmentShader
      .replace("void main() {", "varying vec3 place;\nuniform float lines;\nvoid main() {")
      .replace(
        "#include <opaque_fragment>",
        `#include <opaque_fragment>
        if (lines > 0.0) {
          vec3 wide = fwidth(place);
          vec3 away = abs(fract(place + 0.5) - 0.5) / max(wide, 1e-5);
          vec3 line = (1.0 - smoothstep(0.5, 1.5, away)) * step(1e-4, wide) * (1.0 - smoothstep(0.1, 0.35, wide));
          gl_FragColor.rgb *= 1.0 - lines * max(line.x, max(line.y, line.z));
        }`,
      );
  };
  return material;
}

/** Takes pictures of a map for files: no antialiasing, one colour a face, the clear sky. */
export class Photographer {
  private readonly renderer = new THREE.WebGLRenderer({ antialias: false });
  private readonly scene = emptyScene();

  private readonly blocks: Blocks;

  constructor(private readonly map: BlockMap) {
    this.blocks = new Blocks(map);
    this.renderer.outputColorSpace = THREE.LinearSRGBColorSpace;
    this.scene.add(this.blocks.group);
  }

  /** A picture as PNG, a square one if `height` is omitted. */
  async draw(camera: cameras.Camera, width: number, height = width): Promise<Uint8Array<ArrayBuffer>> {
    this.renderer.setSize(width, height, false);
    this.renderer.render(this.scene, posed(this.map, camera, width / height));
    const canvas = this.renderer.domElement;
    const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/png")); // taken before it clears
    if (!blob) throw new Error(`a picture of ${width} x ${height} pixels could not be drawn`);
    return new Uint8Array(await blob.arrayBuffer());
  }

  dispose(): void {
    this.blocks.dispose();
    this.renderer.dispose();
    this.renderer.forceContextLoss(); // browsers keep few contexts
  }
}

function emptyScene(): THREE.Scene {
  const scene = new THREE.Scene();
  scene.background = new THREE.Color(...(SKY as [number, number, number]));
  return scene;
}

/** three.js's camera of one of ours, in blocks. */
function posed(map: BlockMap, { eye, right, up, forward }: cameras.Camera, aspect: number): THREE.PerspectiveCamera {
  const s = map.worldScale;
  const camera = new THREE.PerspectiveCamera(cameras.FOVY_DEG, aspect, cameras.NEAR / s, cameras.farOf(map) / s);
  const vector = (v: Cell): THREE.Vector3 => new THREE.Vector3(...v);
  camera.matrixAutoUpdate = false;
  camera.matrix.makeBasis(vector(right), vector(up), vector(forward).negate()).setPosition(vector(eye));
  camera.matrixWorld.copy(camera.matrix);
  return camera;
}

/** The page's view of a map. */
export class Viewer {
  readonly blocks: Blocks;
  private readonly renderer: THREE.WebGLRenderer;
  private readonly scene = emptyScene();
  private readonly camera: THREE.PerspectiveCamera;
  private readonly controls: OrbitControls;
  private readonly marks: THREE.LineSegments[] = [];
  private readonly observer: ResizeObserver;
  private fitted = false;
  private frame = 0;
  private stale = true;
  private at_ms = performance.now();
  /** Called before each frame with the seconds since the last; true while there is more to draw. */
  onFrame: (seconds: number) => boolean = () => false;

  constructor(private readonly canvas: HTMLCanvasElement, private readonly map: BlockMap) {
    this.renderer = new THREE.WebGLRenderer({ canvas, antialias: true });
    this.renderer.outputColorSpace = THREE.LinearSRGBColorSpace;
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.blocks = new Blocks(map);
    this.scene.add(this.blocks.group, border(map));
    this.camera = new THREE.PerspectiveCamera(cameras.FOVY_DEG, 1, 0.05, cameras.farOf(map) / map.worldScale);
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.maxDistance = 3 * Math.hypot(...map.size);
    this.controls.zoomToCursor = true;
    this.controls.addEventListener("change", () => this.draw());
    this.observer = new ResizeObserver(() => this.fit());
    this.observer.observe(canvas);
    this.frame = requestAnimationFrame(this.turn);
  }

  /** Whether dragging turns the world around, or the walker. */
  set orbiting(on: boolean) {
    this.controls.enabled = on;
    this.camera.fov = on ? cameras.FOVY_DEG : WALK_FOVY_DEG;
    this.camera.updateProjectionMatrix();
    if (on) this.home();
  }

  /** Look at all that is built, from the front. */
  home(): void {
    const { camera, target } = cameras.portrait(this.map, this.camera.aspect);
    this.camera.position.set(...camera.eye);
    this.controls.target.set(...target);
    this.controls.update();
    this.draw();
  }

  /** The walker's eye. */
  look(eye: Cell, towards: Cell): void {
    this.camera.position.set(...eye);
    this.camera.lookAt(eye[0] + towards[0], eye[1] + towards[1], eye[2] + towards[2]);
    this.draw();
  }

  /** What lies under a point of the canvas, in CSS pixels from its corner; the middle if omitted. */
  pick(x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2): Hit | null {
    const point = new THREE.Vector2((2 * x) / this.canvas.clientWidth - 1, 1 - (2 * y) / this.canvas.clientHeight);
    this.camera.updateMatrixWorld();
    const ray = new THREE.Raycaster();
    ray.setFromCamera(point, this.camera);
    return cast(this.map, ray.ray.origin.toArray(), ray.ray.direction.toArray());
  }

  /** Where the canvas shows the middle of a cell, in CSS pixels. */
  locate(cell: Cell): [x: number, y: number] {
    this.camera.updateMatrixWorld();
    const point = new THREE.Vector3(cell[0] + 0.5, cell[1] + 0.5, cell[2] + 0.5).project(this.camera);
    return [((point.x + 1) / 2) * this.canvas.clientWidth, ((1 - point.y) / 2) * this.canvas.clientHeight];
  }

  /** Draws a frame around boxes of cells, [lowest, highest] each; none are left of the last call's. */
  mark(boxes: readonly [Cell, Cell][], removing = false): void {
    while (this.marks.length < boxes.length) {
      const line = new THREE.LineSegments(EDGES, new THREE.LineBasicMaterial({ toneMapped: false }));
      this.marks.push(line);
      this.scene.add(line);
    }
    this.marks.forEach((line, i) => {
      const box = boxes[i];
      line.visible = box !== undefined;
      if (!box) return;
      const [low, high] = box;
      const size = low.map((v, axis) => high[axis]! + 1 - v) as Cell;
      line.scale.set(size[0] + 2 * MARGIN, size[1] + 2 * MARGIN, size[2] + 2 * MARGIN);
      line.position.set(low[0] + size[0] / 2, low[1] + size[1] / 2, low[2] + size[2] / 2);
      (line.material as THREE.LineBasicMaterial).color.set(removing ? REMOVING : INK);
    });
    this.draw();
  }

  /** These cells have changed. */
  changed(cells: Iterable<Readonly<Cell>>): void {
    this.blocks.update(cells);
    this.draw();
  }

  draw(): void {
    this.stale = true;
  }

  dispose(): void {
    cancelAnimationFrame(this.frame);
    this.observer.disconnect();
    this.controls.dispose();
    this.blocks.dispose();
    this.renderer.dispose();
  }

  private readonly turn = (now_ms: number): void => {
    this.frame = requestAnimationFrame(this.turn);
    const seconds = Math.min(0.25, Math.max(0, (now_ms - this.at_ms) / 1000)); // a hidden page stands still
    this.at_ms = now_ms;
    if (this.onFrame(seconds)) this.stale = true;
    if (!this.stale) return;
    this.stale = false;
    this.renderer.render(this.scene, this.camera);
  };

  private fit(): void {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    if (!this.fitted) this.home();
    this.fitted = true;
    this.renderer.render(this.scene, this.camera); // at once: a resized canvas is blank
  }
}

const EDGES = new THREE.EdgesGeometry(new THREE.BoxGeometry(1, 1, 1));

/** The edges of the space that can be built in, faintly. */
function border(map: BlockMap): THREE.LineSegments {
  const line = new THREE.LineSegments(
    EDGES,
    new THREE.LineBasicMaterial({ color: INK, transparent: true, opacity: 0.16, toneMapped: false }),
  );
  line.scale.set(...(map.size as Cell));
  line.position.set(map.size[0] / 2, map.size[1] / 2, map.size[2] / 2);
  return line;
}
