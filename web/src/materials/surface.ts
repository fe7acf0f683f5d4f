// A material for three.js: its maps as textures on one metallic-roughness surface, and light to see it by.

import * as THREE from "three";
import { materialFile, type Asset } from "../api";
import { hasMap } from "./manifest";
import { COAT_SIDE, type Texels } from "../worlds/coats";

const SHARPNESS = 8; // anisotropy: floors are seen at a grazing angle

/** Its textures repeat. `dispose` frees them too. */
export class Surface {
  readonly material = new THREE.MeshStandardMaterial({ roughness: 1, metalness: 1, toneMapped: false });

  constructor(private readonly textures: Partial<Record<"map" | "normalMap" | "roughnessMap" | "metalnessMap" | "aoMap", THREE.Texture>>) {
    for (const texture of Object.values(textures)) {
      texture.wrapS = texture.wrapT = THREE.RepeatWrapping;
      texture.anisotropy = SHARPNESS;
    }
    if (textures.map) textures.map.colorSpace = THREE.SRGBColorSpace;
    Object.assign(this.material, textures);
  }

  /** Tiles along each side of what it is laid on. */
  repeat(across: number, up: number): void {
    for (const texture of Object.values(this.textures)) texture.repeat.set(across, up);
  }

  dispose(): void {
    for (const texture of Object.values(this.textures)) texture.dispose();
    this.material.dispose();
  }
}

/** From the few texels that a map.json carries. */
export function surfaceOfTexels({ basecolor, normal, orm }: Texels): Surface {
  const packed = textureOf(orm);
  return new Surface({ map: textureOf(basecolor), normalMap: textureOf(normal), roughnessMap: packed, metalnessMap: packed, aoMap: packed });
}

/** From the files of a material; an error where they are not there. */
export async function surfaceOfAsset({ id, manifest }: Asset): Promise<Surface> {
  const loader = new THREE.TextureLoader();
  const load = (name: string): Promise<THREE.Texture> => loader.loadAsync(materialFile(id, name));
  const [map, normalMap, roughnessMap, metalnessMap, aoMap] = await Promise.all([
    ...["basecolor", "normal", "roughness", "metallic"].map(load),
    ...(hasMap(manifest, "ao") ? [load("ao")] : []),
  ]);
  return new Surface({ map: map!, normalMap: normalMap!, roughnessMap: roughnessMap!, metalnessMap: metalnessMap!, ...(aoMap && { aoMap }) });
}

/** RGB bytes, rows from the top, as a texture, whose rows begin at the bottom. */
function textureOf(rgb: Uint8Array): THREE.DataTexture {
  const rgba = new Uint8Array(COAT_SIDE * COAT_SIDE * 4);
  for (let i = 0; i < COAT_SIDE * COAT_SIDE; i++) {
    const row = COAT_SIDE - 1 - Math.floor(i / COAT_SIDE);
    rgba.set([rgb[3 * i]!, rgb[3 * i + 1]!, rgb[3 * i + 2]!, 255], 4 * (row * COAT_SIDE + (i % COAT_SIDE)));
  }
  const texture = new THREE.DataTexture(rgba, COAT_SIDE, COAT_SIDE);
  texture.magFilter = THREE.LinearFilter;
  texture.minFilter = THREE.LinearMipmapLinearFilter;
  texture.generateMipmaps = true;
  texture.needsUpdate = true;
  return texture;
}

/** Light from all around: what is overhead, at the horizon and below, and a bright window, as linear radiance. */
export interface Around {
  above: readonly [number, number, number];
  level: readonly [number, number, number];
  below: readonly [number, number, number];
  window: number;
}

const [COLUMNS, ROWS] = [64, 32];
const WINDOW: readonly [number, number, number] = [-0.6, 0.6, 0.53]; // where it stands

/** Its texture is for `scene.environment`; the caller disposes of it. */
export function environmentOf(renderer: THREE.WebGLRenderer, around: Around): THREE.WebGLRenderTarget {
  const data = new Uint16Array(COLUMNS * ROWS * 4);
  for (let y = 0; y < ROWS; y++) {
    for (let x = 0; x < COLUMNS; x++) {
      const up = Math.sin(((y + 0.5) / ROWS - 0.5) * Math.PI); // rows begin below
      const turn = ((x + 0.5) / COLUMNS - 0.5) * 2 * Math.PI;
      const flat = Math.sqrt(1 - up * up);
      const towards = WINDOW[0] * Math.cos(turn) * flat + WINDOW[1] * up + WINDOW[2] * Math.sin(turn) * flat;
      const bright = around.window * Math.exp(14 * (towards - 1));
      const side = up > 0 ? around.above : around.below;
      const share = Math.sqrt(Math.abs(up));
      for (let k = 0; k < 3; k++) {
        const radiance = around.level[k]! + (side[k]! - around.level[k]!) * share + bright;
        data[(y * COLUMNS + x) * 4 + k] = THREE.DataUtils.toHalfFloat(radiance);
      }
      data[(y * COLUMNS + x) * 4 + 3] = THREE.DataUtils.toHalfFloat(1);
    }
  }
  const picture = new THREE.DataTexture(data, COLUMNS, ROWS, THREE.RGBAFormat, THREE.HalfFloatType);
  picture.mapping = THREE.EquirectangularReflectionMapping;
  picture.magFilter = picture.minFilter = THREE.LinearFilter;
  picture.needsUpdate = true;
  const generator = new THREE.PMREMGenerator(renderer);
  const found = generator.fromEquirectangular(picture);
  generator.dispose();
  picture.dispose();
  return found;
}
