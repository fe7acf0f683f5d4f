// Pictures moved by their flow, bicubic; `move_picture` in worlds/world_model/picture.py has it in PyTorch.
//
// canvas [N, H, W', 4]: three colours in [-.5, .5] and `known` in [0, 1]; flow [N, 2, H, W] in pixels; columns [W], where
// the pixels of a row lie on the canvas. `Pixel` is a canvas pixel.

#include "rows.h"

typedef float Pixel __attribute__((vector_size(16), aligned(4)));

typedef struct {
    int64_t samples, height, width, canvas_width, canvas_stride;  // samples of the canvas may lie apart
    const float *canvas, *flow, *columns;
} Move;

// Four canvas pixels side by side, as the taps of a row lie away from the edges.
typedef float Four __attribute__((vector_size(64), aligned(4)));

enum { CHUNK = 32, TAPS = 4 };  // pixels whose places are computed at once

typedef struct {
    float wx[TAPS][CHUNK], wy[TAPS][CHUNK], dx[TAPS][CHUNK], dy[TAPS][CHUNK];
    int32_t column[TAPS][CHUNK], row[TAPS][CHUNK], inside[CHUNK];
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

// The taps of pixel i in row j.
static inline Four taps_of(const float *canvas, const Taps *taps, int j, int i) {
    const float *row = canvas + taps->row[j][i];
    if (taps->column[3][i] - taps->column[0][i] == 12) return *(const Four *)(row + taps->column[0][i]);
    Four found;
    for (int k = 0; k < TAPS; k++) memcpy((float *)&found + 4 * k, row + taps->column[k][i], sizeof(Pixel));
    return found;
}

// A weight of each of the four pixels, for its four numbers.
static inline Four spread(const float weight[TAPS][CHUNK], int i) {
    float a = weight[0][i], b = weight[1][i], c = weight[2][i], d = weight[3][i];
    return (Four){a, a, a, a, b, b, b, b, c, c, c, c, d, d, d, d};
}

static inline Pixel sum_of(Four x) {
    Pixel part[TAPS];
    memcpy(part, &x, sizeof x);
    return part[0] + part[1] + part[2] + part[3];
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
            float sums[CHUNK][4];
            int count = least(m->width - begin, CHUNK);
            find_taps(&taps, m, sample, row, begin, count);
            for (int i = 0; i < count; i++) {
                Four rows = {0};
                for (int j = 0; j < TAPS; j++) rows += taps.wy[j][i] * taps_of(canvas, &taps, j, i);
                *(Pixel *)sums[i] = sum_of(spread(taps.wx, i) * rows);
            }
            for (int k = 0; k < 4; k++)
#pragma omp simd
                for (int i = 0; i < count; i++) {
                    float sum = sums[i][k], low = k < 3 ? -0.5f : 0.0f, high = low + 1;
                    sum = sum < low ? low : sum > high ? high : sum;
                    to[k * pixels + i] = k < 3 || taps.inside[i] ? sum : 0;
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
            float sums[CHUNK][4], by_x[CHUNK][4], by_y[CHUNK][4];
            int count = least(m->width - begin, CHUNK);
            find_taps(&taps, m, sample, row, begin, count);
            for (int i = 0; i < count; i++) {
                Four rows = {0}, slopes = {0}, along = spread(taps.wx, i);
                for (int j = 0; j < TAPS; j++) {
                    Four row = taps_of(canvas, &taps, j, i);
                    rows += taps.wy[j][i] * row;
                    slopes += taps.dy[j][i] * row;
                }
                *(Pixel *)sums[i] = sum_of(along * rows);
                *(Pixel *)by_x[i] = sum_of(spread(taps.dx, i) * rows);
                *(Pixel *)by_y[i] = sum_of(along * slopes);
            }
#pragma omp simd
            for (int i = 0; i < count; i++) {
                float dx = 0, dy = 0;
                for (int k = 0; k < 4; k++) {
                    float low = k < 3 ? -0.5f : 0.0f, high = low + 1, grad = from[k * pixels + i];
                    grad = sums[i][k] >= low && sums[i][k] <= high && (k < 3 || taps.inside[i]) ? grad : 0;
                    dx += grad * by_x[i][k];
                    dy += grad * by_y[i][k];
                }
                to[i] = dx;
                to[pixels + i] = dy;
            }
        }
    }
}
