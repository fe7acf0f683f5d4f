// A map on a canvas: drawn by three.js with one lit colour a face, or with the maps of what a type wears; orbited or
// walked through. This file and gltf.ts, and in materials/ surface.ts and stage.ts, alone import three.js, which pages load when they need it.

import * as THREE from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import * as cameras from "./camera";
import { getAsset } from "../api";
import { environmentOf, surfaceOfAsset, surfaceOfTexels, type Around, type Surface } from "../materials/surface";
import { coatsOf } from "./coats";
import type { BlockMap, Cell } from "./map";
import { chunksAround, chunksOf, facesByCoat, type Faces, type Laid } from "./mesh";
import { SKY, SUN } from "./palette";
import { cast, type Hit } from "./ray";

THREE.ColorManagement.enabled = false; // colours are the screen's own, as the palette says

const WALK_FOVY_DEG = 75; // of worlds/blocks/camera.py
const INK = 0x1a231a;
const REMOVING = 0xc0311a;
// Chosen so that flat white faces come near the squares of palette.WALK_LIGHT, which is on the screen's own scale.
const DAY: Around = { above: [0.6, 0.66, 0.74], level: [0.4, 0.42, 0.44], below: [0.16, 0.15, 0.13], window: 0.6 };
const SUNSHINE = 1.7;
const MARGIN = 0.004; // blocks by which an outline stands off what it surrounds

/** The meshes of a map: one a chunk, and one more for each type in it that wears a material; in blocks from the map's
 *  corner. */
export class Blocks {
  readonly group = new THREE.Group();
  private readonly meshes = new Map<string, THREE.Mesh[]>();
  private readonly surfaces = new Map<number, Surface>();
  private readonly lines = { value: 0 };
  private readonly material = forScreen(new THREE.MeshBasicMaterial({ vertexColors: true, toneMapped: false }), this.lines);

  constructor(private readonly map: BlockMap) {
    this.dress();
  }

  /** Builds everything anew in what the map's types wear. */
  dress(): void {
    this.undress();
    for (const [type, { texels }] of coatsOf(this.map.customBlocks)) this.wear(type, surfaceOfTexels(texels));
    const [nx, ny, nz] = chunksOf(this.map);
    for (let x = 0; x < nx; x++) for (let y = 0; y < ny; y++) for (let z = 0; z < nz; z++) this.build([x, y, z]);
  }

  /** Whether anything is to be lit. */
  get dressed(): boolean {
    return this.surfaces.size > 0;
  }

  /** Shows a type that wears something in a surface of more detail, and takes that over. */
  sharpen(type: number, surface: Surface): void {
    const before = this.surfaces.get(type);
    this.wear(type, surface);
    for (const mesh of [...this.meshes.values()].flat()) if (mesh.material === before?.material) mesh.material = surface.material;
    before?.dispose();
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
    for (const mesh of [...this.meshes.values()].flat()) mesh.geometry.dispose();
    this.undress();
    this.material.dispose();
  }

  private wear(type: number, surface: Surface): void {
    forScreen(surface.material, this.lines);
    this.surfaces.set(type, surface);
  }

  private undress(): void {
    for (const surface of this.surfaces.values()) surface.dispose();
    this.surfaces.clear();
  }

  private build(chunk: Cell): void {
    const key = chunk.join();
    for (const old of this.meshes.get(key) ?? []) {
      this.group.remove(old);
      old.geometry.dispose();
    }
    const worn = facesByCoat(this.map, chunk, new Set(this.surfaces.keys()));
    const made = [...worn].map(([type, faces]) => {
      const surface = this.surfaces.get(type);
      return new THREE.Mesh(geometryOf(faces, Boolean(surface)), surface?.material ?? this.material);
    });
    this.meshes.set(key, made);
    if (made.length) this.group.add(...made);
  }
}

function geometryOf(faces: Faces & Laid, lit: boolean): THREE.BufferGeometry {
  const geometry = new THREE.BufferGeometry();
  geometry.setAttribute("position", new THREE.BufferAttribute(faces.positions, 3));
  if (lit) {
    geometry.setAttribute("normal", new THREE.BufferAttribute(faces.normals, 3));
    geometry.setAttribute("uv", new THREE.BufferAttribute(faces.uvs, 2));
  } else {
    geometry.setAttribute("color", new THREE.BufferAttribute(faces.colours, 3, true));
  }
  geometry.setIndex(new THREE.BufferAttribute(faces.indices, 1));
  return geometry;
}

/** What is lit is encoded for the screen, whose own colours the others are. Lines where a coordinate is whole: two of a
 *  face's three axes vary on it, and its own is left out. */
function forScreen<M extends THREE.Material>(material: M, strength: { value: number }): M {
  material.onBeforeCompile = (shader) => {
    shader.uniforms["lines"] = strength;
    shader.vertexShader = shader.vertexShader
      .replace("void main() {", "varying vec3 place;\nvoid main() {\n\tplace = position;");
    shader.fragmentShader = shader.fragmentShader
      .replace("void main() {", "varying vec3 place;\nuniform float lines;\nvoid main() {")
      .replace(
        "#include <opaque_fragment>",
        `#include <opaque_fragment>
        #ifdef STANDARD
          gl_FragColor = sRGBTransferOETF(vec4(clamp(gl_FragColor.rgb, 0.0, 1.0), gl_FragColor.a));
        #endif
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

/** Lights what wears a material about as bright as the walk's faces are, which plain ones need not. */
class Daylight {
  private around: THREE.WebGLRenderTarget | null = null;

  constructor(private readonly renderer: THREE.WebGLRenderer, private readonly scene: THREE.Scene) {}

  rise(): void {
    if (this.around) return;
    this.around = environmentOf(this.renderer, DAY);
    this.scene.environment = this.around.texture;
    const sun = new THREE.DirectionalLight(new THREE.Color().setRGB(1, 0.97, 0.9), SUNSHINE);
    sun.position.set(...SUN);
    this.scene.add(sun);
  }

  dispose(): void {
    this.around?.dispose();
  }
}

/** Takes pictures of a map for files: no antialiasing, one colour a face, the clear sky. */
export class Photographer {
  private readonly renderer = new THREE.WebGLRenderer({ antialias: false });
  private readonly scene = emptyScene();

  private readonly blocks: Blocks;
  private readonly day = new Daylight(this.renderer, this.scene);

  constructor(private readonly map: BlockMap) {
    this.blocks = new Blocks(map);
    this.renderer.outputColorSpace = THREE.LinearSRGBColorSpace;
    this.scene.add(this.blocks.group);
    if (this.blocks.dressed) this.day.rise();
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
    this.day.dispose();
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
  private readonly day: Daylight;
  private readonly marks: THREE.LineSegments[] = [];
  private readonly observer: ResizeObserver;
  private fitted = false;
  private gone = false;
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
    this.day = new Daylight(this.renderer, this.scene);
    this.scene.add(this.blocks.group, border(map));
    this.sharpen();
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

  /** A type wears something else. */
  dressed(): void {
    this.blocks.dress();
    this.sharpen();
    this.draw();
  }

  draw(): void {
    this.stale = true;
  }

  /** Materials in full size in place of the map's few texels, as they come; a map whose materials are not here keeps
   *  these. */
  private sharpen(): void {
    if (this.blocks.dressed) this.day.rise();
    const coats = coatsOf(this.map.customBlocks);
    for (const [type, { material }] of coats) {
      if (!material) continue;
      void getAsset(material)
        .then(surfaceOfAsset)
        .then((surface) => {
          const now = coatsOf(this.map.customBlocks).get(type);
          if (this.gone || now?.material !== material) return surface.dispose();
          this.blocks.sharpen(type, surface);
          this.draw();
        })
        .catch(() => undefined);
    }
  }

  dispose(): void {
    this.gone = true;
    cancelAnimationFrame(this.frame);
    this.observer.disconnect();
    this.controls.dispose();
    this.blocks.dispose();
    this.day.dispose();
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
