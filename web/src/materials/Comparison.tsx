// Figures of maps beside the truth, where that is known.

import { label } from "../format";
import type { Manifest } from "../manifest";
import { comparison } from "./manifest";

export function Comparison({ of }: { of: Manifest }) {
  const { rows, angles } = comparison(of);
  if (!rows.length) return null;
  return (
    <div class="card compared">
      <table>
        <thead>
          <tr>
            {["Map", "PSNR, dB", "RMSE", "MAE", "SSIM"].map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(([map, ...figures]) => (
            <tr key={map}>
              <th scope="row">{label(map)}</th>
              {figures.map((figure, i) => (
                <td key={i}>{figure}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {angles && <p class="quiet">Degrees between normals: {angles}.</p>}
    </div>
  );
}
