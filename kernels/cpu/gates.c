// A step of the ConvGRU after its convolutions; the equations stand in conv_gru/naive.py.
//
//     Gx = norm(x) * scale + sum_p basis_p * places_p,    Gh = norm(y)
//     r, z = sigmoid(Gx_rz + Gh_rz),    n = tanh(Gx_n + r * Gh_n),    h' = (1 - z) * n + z * h
//
// The backward computes the gates again.

#include "rows.h"

enum { MOST = 1024 };  // channels of h

typedef struct {
    int64_t samples, cells, channels, place_count;
    Map x, y, h;                                      // [N, cells, 3C], the same, [N, cells, C]
    const float *x_weight, *x_bias, *y_weight, *y_bias;  // [3C]
    Map scale, places;                                // [N, 3C], [N, P, 3C], fp32
    const float *basis;                               // [cells, P]
} Step;

typedef struct {
    float x[3 * MOST], y[3 * MOST];  // normalised
    float gx[3 * MOST], gy[3 * MOST], h[MOST];
    float x_scale, y_scale;
} Cell;

static void read_cell(Cell *restrict cell, const Step *step, int64_t sample, int64_t at) {
    int c = step->channels, wide = 3 * c, count = step->place_count;
    read_row(cell->x, &step->x, sample, at * wide, wide);
    read_row(cell->y, &step->y, sample, at * wide, wide);
    read_row(cell->h, &step->h, sample, at * c, c);
    cell->x_scale = normalize(cell->x, wide);
    cell->y_scale = normalize(cell->y, wide);
    const float *scale = (const float *)step->scale.at + sample * step->scale.stride;
    const float *places = (const float *)step->places.at + sample * step->places.stride;
    const float *basis = step->basis + at * count;
#pragma omp simd
    for (int i = 0; i < wide; i++) {
        cell->gx[i] = (cell->x[i] * step->x_weight[i] + step->x_bias[i]) * scale[i];
        cell->gy[i] = cell->y[i] * step->y_weight[i] + step->y_bias[i];
    }
    add_places(cell->gx, basis, places, count, wide);
}

void gates_forward(const Step *step, const Map *out, int threads) {
#pragma omp parallel for num_threads(threads)
    for (int64_t sample = 0; sample < step->samples; sample++) {
        Cell cell;
        int c = step->channels;
        for (int64_t at = 0; at < step->cells; at++) {
            read_cell(&cell, step, sample, at);
            const float *gx = cell.gx, *gy = cell.gy;
#pragma omp simd
            for (int i = 0; i < c; i++) {
                float r = sigmoid(gx[i] + gy[i]), z = sigmoid(gx[c + i] + gy[c + i]);
                float n = tanh_(gx[2 * c + i] + r * gy[2 * c + i]);
                cell.h[i] = n + z * (cell.h[i] - n);
            }
            write_row(cell.h, out, sample, at * c, c);
        }
    }
}

// Rows are sums over a sample's cells: of scale [N, 3C], places [N, P, 3C], and of both norms' weights and biases.
typedef struct {
    Map x, y, h;
    float *scale, *places, *x_weight, *x_bias, *y_weight, *y_bias;
} Gradients;

void gates_backward(const Step *step, const Map *dout, const Gradients *to, int threads) {
#pragma omp parallel for num_threads(threads)
    for (int64_t sample = 0; sample < step->samples; sample++) {
        Cell cell;
        float d[MOST], dx[3 * MOST], dy[3 * MOST];
        int c = step->channels, wide = 3 * c, count = step->place_count;
        const float *scale = (const float *)step->scale.at + sample * step->scale.stride;
        float *restrict dscale = to->scale + sample * wide, *restrict dplaces = to->places + sample * count * wide;
        float *restrict dxw = to->x_weight + sample * wide, *restrict dxb = to->x_bias + sample * wide;
        float *restrict dyw = to->y_weight + sample * wide, *restrict dyb = to->y_bias + sample * wide;
        for (int64_t at = 0; at < step->cells; at++) {
            read_cell(&cell, step, sample, at);
            read_row(d, dout, sample, at * c, c);
            const float *restrict gx = cell.gx, *restrict gy = cell.gy;
#pragma omp simd
            for (int i = 0; i < c; i++) {
                float r = sigmoid(gx[i] + gy[i]), z = sigmoid(gx[c + i] + gy[c + i]);
                float n = tanh_(gx[2 * c + i] + r * gy[2 * c + i]);
                float dn = d[i] * (1 - z) * (1 - n * n), dz = d[i] * (cell.h[i] - n) * z * (1 - z);
                float dr = dn * gy[2 * c + i] * r * (1 - r);
                dx[i] = dy[i] = dr;
                dx[c + i] = dy[c + i] = dz;
                dx[2 * c + i] = dn;
                dy[2 * c + i] = dn * r;
                d[i] *= z;
            }
            write_row(d, &to->h, sample, at * c, c);
            const float *basis = step->basis + at * count;
            spread_places(dplaces, basis, dx, count, wide);
#pragma omp simd
            for (int i = 0; i < wide; i++) {
                float affine = cell.x[i] * step->x_weight[i] + step->x_bias[i], inner = dx[i] * scale[i];
                dscale[i] += dx[i] * affine;
                dxb[i] += inner;
                dxw[i] += inner * cell.x[i];
                dx[i] = inner * step->x_weight[i];
                dyb[i] += dy[i];
                dyw[i] += dy[i] * cell.y[i];
                dy[i] *= step->y_weight[i];
            }
            normalize_backward(dx, cell.x, cell.x_scale, wide);
            normalize_backward(dy, cell.y, cell.y_scale, wide);
            write_row(dx, &to->x, sample, at * wide, wide);
            write_row(dy, &to->y, sample, at * wide, wide);
        }
    }
}
