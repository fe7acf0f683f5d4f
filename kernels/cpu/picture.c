// Pictures moved by their flow, bicubic; `move_picture` in worlds/world_model/picture.py has it in PyTorch.
//
// canvas [N, H, W', 4]: three colours in [-.5, .5] and `known` in [0, 1]; flow [N, 2, H, W] in pixels; columns [W], where
// the pixels of a row lie on the canvas. Sums of four numbers at once: `Pixel` is a canvas pixel.

#include "rows.h"

typedef float Pixel __attribute__((vector_size(16), aligned(4)));

typedef struct {
    int64_t samples, height, width, canvas_width, canvas_stride;  // samples of the canvas may lie apart
    const float *canvas, *flow, *columns;
} Move;

enum { CHUNK = 32 };  // pixels whose places are computed at once

typedef struct {
    float wx[4][CHUNK], wy[4][CHUNK], dx[4][CHUNK], dy[4][CHUNK];
    int32_t column[4][CHUNK], row[4][CHUNK], inside[CHUNK];
} Taps;

// Keys' cubic with a = -.75 at distances 1 + t, t, 1 - t, 2 - t, as in F.grid_sample, and its slopes by t.
static inline void cubic(float t, float (*restrict weight)[CHUNK], float (*restrict slope)[CHUNK], int i) {
    const float a = -0.75f;
    float far = 1 + t, left = 2 - t, back = 1 - t;
    weight[0][i] = ((a * far - 5 * a) * far + 8 * a) * far - 4 * a;
    weight[1][i] = ((a + 2) * t - (a + 3)) * t * t + 1;
    weight[2][i] = ((a + 2) * back - (a + 3)) * back * back + 1;
    weight[3][i] = ((a * left - 5 * a) * left + 8 * a) * left - 4 * a;
    slope[0][i] = (3 * a * far - 10 * a) * far + 8 * a;
    slope[1][i] = (3 * (a + 2) * t - 2 * (a + 3)) * t;
    slope[2][i] = -(3 * (a + 2) * back - 2 * (a + 3)) * back;
    slope[3][i] = -((3 * a * left - 10 * a) * left + 8 * a);
}

static inline int32_t within(int32_t at, int32_t size) { return at < 0 ? 0 : at < size ? at : size - 1; }

// Beyond 2^20 pixels, and for what is no number, the place is the canvas's corner.
static inline float floor_of(float x) { return x > -1048576.0f && x < 1048576.0f ? floorf(x) : 0.0f; }

// Of `count` pixels from a row's `begin` on.
static void find_taps(Taps *restrict taps, const Move *m, int64_t sample, int64_t row, int64_t begin, int count) {
    int64_t pixels = m->height * m->width, at = row * m->width + begin;
    const float *columns = m->columns + begin;
    const float *along = m->flow + 2 * sample * pixels + at, *across = along + pixels;
    int32_t height = m->height, width = m->canvas_width;
#pragma omp simd
    for (int i = 0; i < count; i++) {
        float x = columns[i] + along[i], y = row + across[i];
        taps->inside[i] = (x > -1) & (x < width) & (y > -1) & (y < height);
        x = rounded(x, width);
        y = rounded(y, height);
        float x0 = floor_of(x), y0 = floor_of(y);
        cubic(x - x0, taps->wx, taps->dx, i);
        cubic(y - y0, taps->wy, taps->dy, i);
        for (int k = 0; k < 4; k++) {
            taps->column[k][i] = 4 * within((int32_t)x0 - 1 + k, width);
            taps->row[k][i] = 4 * width * within((int32_t)y0 - 1 + k, height);
        }
    }
}

static inline Pixel pixel_at(const float *canvas, const Taps *taps, int j, int k, int i) {
    return *(const Pixel *)(canvas + taps->row[j][i] + taps->column[k][i]);
}

static inline int least(int64_t a, int b) { return a < b ? (int)a : b; }

// out [N, 4, H, W].
void move_forward(const Move *m, float *restrict out, int threads) {
    int64_t pixels = m->height * m->width;
#pragma omp parallel for num_threads(threads)
    for (int64_t line = 0; line < m->samples * m->height; line++) {
        int64_t sample = line / m->height, row = line % m->height;
        const float *canvas = m->canvas + sample * m->canvas_stride;
        float *to = out + sample * 4 * pixels + row * m->width;
        for (int64_t begin = 0; begin < m->width; begin += CHUNK, to += CHUNK) {
            Taps taps;
            int count = least(m->width - begin, CHUNK);
            find_taps(&taps, m, sample, row, begin, count);
            for (int i = 0; i < count; i++) {
                Pixel sum = {0};
                for (int j = 0; j < 4; j++) {
                    Pixel along = {0};
                    for (int k = 0; k < 4; k++) along += taps.wx[k][i] * pixel_at(canvas, &taps, j, k, i);
                    sum += taps.wy[j][i] * along;
                }
                for (int k = 0; k < 3; k++) to[k * pixels + i] = sum[k] < -0.5f ? -0.5f : sum[k] > 0.5f ? 0.5f : sum[k];
                float known = sum[3] < 0 ? 0 : sum[3] > 1 ? 1 : sum[3];
                to[3 * pixels + i] = taps.inside[i] ? known : 0;
            }
        }
    }
}

// dout [N, 4, H, W] -> dflow [N, 2, H, W]; nothing goes to the canvas.
void move_backward(const Move *m, const float *dout, float *restrict dflow, int threads) {
    int64_t pixels = m->height * m->width;
#pragma omp parallel for num_threads(threads)
    for (int64_t line = 0; line < m->samples * m->height; line++) {
        int64_t sample = line / m->height, row = line % m->height;
        const float *canvas = m->canvas + sample * m->canvas_stride;
        const float *from = dout + sample * 4 * pixels + row * m->width;
        float *to = dflow + sample * 2 * pixels + row * m->width;
        for (int64_t begin = 0; begin < m->width; begin += CHUNK, from += CHUNK, to += CHUNK) {
            Taps taps;
            int count = least(m->width - begin, CHUNK);
            find_taps(&taps, m, sample, row, begin, count);
            for (int i = 0; i < count; i++) {
                Pixel sum = {0}, by_x = {0}, by_y = {0};
                for (int j = 0; j < 4; j++) {
                    Pixel along = {0}, slope = {0};
                    for (int k = 0; k < 4; k++) {
                        Pixel v = pixel_at(canvas, &taps, j, k, i);
                        along += taps.wx[k][i] * v;
                        slope += taps.dx[k][i] * v;
                    }
                    sum += taps.wy[j][i] * along;
                    by_x += taps.wy[j][i] * slope;
                    by_y += taps.dy[j][i] * along;
                }
                float dx = 0, dy = 0;
                for (int k = 0; k < 4; k++) {
                    float low = k < 3 ? -0.5f : 0.0f, high = k < 3 ? 0.5f : 1.0f;
                    int passes = sum[k] >= low && sum[k] <= high && (k < 3 || taps.inside[i]);
                    float grad = passes ? from[k * pixels + i] : 0;
                    dx += grad * by_x[k];
                    dy += grad * by_y[k];
                }
                to[i] = dx;
                to[pixels + i] = dy;
            }
        }
    }
}
