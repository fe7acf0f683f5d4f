// A material on a shape, turned by dragging, under a light that can be moved. With surface.ts and worlds/viewer.ts this
// imports three.js, which pages load when they need it.

import * as THREE from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import { environmentOf, type Around, type Surface } from "./surface";

export type Shape = "sphere" | "cube" | "plane" | "wall";

export type Surroundings = "sky" | "room" | "night";
export const SURROUNDINGS: Record<Surroundings, Around> = {
  sky: { above: [0.42, 0.56, 0.85], level: [0.62, 0.65, 0.68], below: [0.16, 0.15, 0.12], window: 2.5 },
  room: { above: [0.34, 0.33, 0.31], level: [0.3, 0.28, 0.26], below: [0.2, 0.17, 0.14], window: 5 },
  night: { above: [0.012, 0.016, 0.03], level: [0.02, 0.022, 0.03], below: [0.005, 0.005, 0.006], window: 0.15 },
};

/** Where the lamp stands, in degrees: around from the front, and up from the horizon. */
export interface Lamp {
  around: number;
  up: number;
  strength: number;
}

const GEOMETRY: Record<Shape, { make: () => THREE.BufferGeometry; tiles: [number, number]; from: [number, number, number] }> = {
  sphere: { make: () => new THREE.SphereGeometry(1, 128, 64), tiles: [4, 2], from: [0, 0.5, 3.1] },
  cube: { make: () => new THREE.BoxGeometry(1.5, 1.5, 1.5), tiles: [1, 1], from: [2.1, 1.5, 2.4] },
  plane: { make: () => new THREE.PlaneGeometry(2.2, 2.2), tiles: [1, 1], from: [0.5, 0.3, 2.9] },
  wall: { make: () => new THREE.PlaneGeometry(6, 4), tiles: [6, 4], from: [1.4, 0.5, 3.4] },
};

export class Stage {
  private readonly renderer: THREE.WebGLRenderer;
  private readonly scene = new THREE.Scene();
  private readonly camera = new THREE.PerspectiveCamera(42, 1, 0.1, 30);
  private readonly controls: OrbitControls;
  private readonly lamp = new THREE.DirectionalLight(new THREE.Color().setRGB(1, 0.97, 0.92), 3);
  private readonly mesh = new THREE.Mesh<THREE.BufferGeometry, THREE.Material>();
  private readonly observer: ResizeObserver;
  private shape: Shape = "sphere";
  private surface: Surface | null = null;
  private around: THREE.WebGLRenderTarget | null = null;
  private frame = 0;

  constructor(private readonly canvas: HTMLCanvasElement) {
    this.renderer = new THREE.WebGLRenderer({ canvas, antialias: true, alpha: true });
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.enablePan = false;
    this.controls.minDistance = 1.6;
    this.controls.maxDistance = 9;
    this.controls.addEventListener("change", () => this.draw());
    this.scene.add(this.mesh, this.lamp);
    this.surround("sky");
    this.observer = new ResizeObserver(() => this.fit());
    this.observer.observe(canvas);
  }

  /** Takes the surface over: it is disposed of with the next, or with the stage. */
  wear(surface: Surface): void {
    this.surface?.dispose();
    this.surface = surface;
    this.mesh.material = surface.material;
    this.show(this.shape);
  }

  show(shape: Shape): void {
    const { make, tiles, from } = GEOMETRY[shape];
    this.mesh.geometry.dispose();
    this.mesh.geometry = make();
    if (shape !== this.shape || !this.camera.position.lengthSq()) this.camera.position.set(...from);
    this.shape = shape;
    this.surface?.repeat(...tiles);
    this.controls.update();
    this.draw();
  }

  surround(by: Surroundings): void {
    this.around?.dispose();
    this.around = environmentOf(this.renderer, SURROUNDINGS[by]);
    this.scene.environment = this.around.texture;
    this.draw();
  }

  light({ around, up, strength }: Lamp): void {
    const [a, u] = [(around * Math.PI) / 180, (up * Math.PI) / 180];
    this.lamp.position.set(Math.sin(a) * Math.cos(u), Math.sin(u), Math.cos(a) * Math.cos(u));
    this.lamp.intensity = strength;
    this.draw();
  }

  dispose(): void {
    cancelAnimationFrame(this.frame);
    this.observer.disconnect();
    this.controls.dispose();
    this.surface?.dispose();
    this.mesh.geometry.dispose();
    this.around?.dispose();
    this.renderer.dispose();
  }

  /** With the next frame; many changes make one. */
  private draw(): void {
    if (!this.surface || this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.renderer.render(this.scene, this.camera);
      this.canvas.dataset["drawn"] = String(Number(this.canvas.dataset["drawn"] ?? 0) + 1);
    });
  }

  private fit(): void {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    if (this.surface) this.renderer.render(this.scene, this.camera); // at once: a resized canvas is blank
  }
}
