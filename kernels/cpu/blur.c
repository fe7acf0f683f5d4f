// Clips blurred by a box of 5x5 pixels twice, each by its own amount; `blur` in worlds/world_model/losses.py has it in
// PyTorch.

#include "rows.h"

enum { SIDE = 256, BOX = 5, REACH = 2 };

static inline int within(int at, int size) { return at < 0 ? 0 : at < size ? at : size - 1; }

// Along rows, then columns; edges repeated. `rows` is scratch.
static void box(const float *restrict from, float *restrict to, float *restrict rows, int height, int width) {
    for (int y = 0; y < height; y++) {
        float line[SIDE + 2 * REACH], *restrict row = rows + y * width;
        for (int x = -REACH; x < 0; x++) line[REACH + x] = from[y * width];
        memcpy(line + REACH, from + y * width, width * sizeof(float));
        for (int x = 0; x < REACH; x++) line[REACH + width + x] = from[y * width + width - 1];
#pragma omp simd
        for (int x = 0; x < width; x++) row[x] = line[x] + line[x + 1] + line[x + 2] + line[x + 3] + line[x + 4];
    }
    for (int y = 0; y < height; y++) {
        const float *near[BOX];
        for (int k = 0; k < BOX; k++) near[k] = rows + within(y + k - REACH, height) * width;
        float *restrict row = to + y * width;
#pragma omp simd
        for (int x = 0; x < width; x++) row[x] = (near[0][x] + near[1][x] + near[2][x] + near[3][x] + near[4][x]) / (BOX * BOX);
    }
}

// pictures and out [clips, planes, H, W], amounts [clips].
void blur(const float *pictures, const float *amounts, float *out, int64_t clips, int64_t planes, int64_t height, int64_t width, int threads) {
    int64_t pixels = height * width;
#pragma omp parallel for num_threads(threads)
    for (int64_t plane = 0; plane < clips * planes; plane++) {
        float once[SIDE * SIDE], rows[SIDE * SIDE], amount = amounts[plane / planes];
        const float *restrict from = pictures + plane * pixels;
        float *restrict to = out + plane * pixels;
        if (amount == 0) {
            memcpy(to, from, pixels * sizeof(float));
            continue;
        }
        box(from, once, rows, height, width);
        box(once, to, rows, height, width);
        // As torch.lerp: exact at either end.
#pragma omp simd
        for (int64_t i = 0; i < pixels; i++)
            to[i] = amount < 0.5f ? from[i] + amount * (to[i] - from[i]) : to[i] - (to[i] - from[i]) * (1 - amount);
    }
}
