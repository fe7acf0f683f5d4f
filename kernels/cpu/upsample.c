// The picture's flow from a field in cells; `picture_flow` in worlds/world_model/picture.py has it in PyTorch.
//
//     flow = 4 (bilinear(coarse, 4) + bilinear(pixel_shuffle(fine, 2), 2))        edges kept
//
// Rows are widened first, then mixed. The field [N, h, w, F] has coarse in its first two channels and fine in its last
// eight.

#include "rows.h"

enum { SIDE = 256, DOWN = 4, AXES = 2 };  // pixels of a row

typedef struct {
    int64_t samples, height, width, fields;  // of cells
    const float *field;
} Upsample;

typedef struct {  // where a pixel lies between two of the few
    int first[SIDE], second[SIDE];
    float near[SIDE], far[SIDE];
} Between;

static void find_between(Between *b, int few, int scale) {
    for (int i = 0; i < few * scale; i++) {
        float at = (i + 0.5f) / scale - 0.5f;
        at = at < 0 ? 0 : at;
        b->first[i] = (int)at;
        b->second[i] = b->first[i] + (b->first[i] + 1 < few);
        b->far[i] = at - b->first[i];
        b->near[i] = 1 - b->far[i];
    }
}

// The field's channel for a row of an axis at a scale: coarse at scale 4, fine at scale 2, where 2x2 are in a cell.
static inline int64_t offset_of(const Upsample *u, int64_t sample, int axis, int scale, int row, int column) {
    int parts = DOWN / scale;
    int64_t cell = (sample * u->height + row / parts) * u->width + column / parts;
    int channel = parts == 1 ? axis : u->fields - 4 * AXES + 4 * axis + 2 * (row % 2) + column % 2;
    return cell * u->fields + channel;
}

static void add_scale(const Upsample *u, int64_t sample, int axis, int scale, const Between *rows, const Between *columns, float *restrict to) {
    int parts = DOWN / scale, few = u->width * parts, wide = u->width * DOWN;
    float lines[2][SIDE];  // of the few rows the even and the odd one that are at hand
    int at_hand[2] = {-1, -1};
    for (int y = 0; y < u->height * DOWN; y++) {
        int pair[2] = {rows->first[y], rows->second[y]};
        for (int k = 0; k < 2; k++) {
            int row = pair[k];
            if (at_hand[row % 2] == row) continue;
            float line[SIDE];
            for (int x = 0; x < few; x++) line[x] = u->field[offset_of(u, sample, axis, scale, row, x)];
            for (int x = 0; x < wide; x++)
                lines[row % 2][x] = columns->near[x] * line[columns->first[x]] + columns->far[x] * line[columns->second[x]];
            at_hand[row % 2] = row;
        }
        const float *restrict a = lines[pair[0] % 2], *restrict b = lines[pair[1] % 2];
        float near = DOWN * rows->near[y], far = DOWN * rows->far[y], *restrict out = to + y * wide;
#pragma omp simd
        for (int x = 0; x < wide; x++) out[x] += near * a[x] + far * b[x];
    }
}

static void take_scale(const Upsample *u, int64_t sample, int axis, int scale, const Between *rows, const Between *columns, const float *restrict from, float *restrict to) {
    int parts = DOWN / scale, few = u->width * parts, wide = u->width * DOWN;
    for (int row = 0; row < u->height * parts; row++) {
        float sums[SIDE] = {0}, line[SIDE] = {0};
        int begin = row * scale - scale, end = begin + 3 * scale;  // pixels that lie between this row and its neighbours
        for (int y = begin < 0 ? 0 : begin; y < end && y < u->height * DOWN; y++) {
            float weight = (rows->first[y] == row ? rows->near[y] : 0) + (rows->second[y] == row ? rows->far[y] : 0);
            const float *restrict d = from + y * wide;
            weight *= DOWN;
            if (weight)
#pragma omp simd
                for (int x = 0; x < wide; x++) sums[x] += weight * d[x];
        }
        for (int x = 0; x < wide; x++) {
            line[columns->first[x]] += columns->near[x] * sums[x];
            line[columns->second[x]] += columns->far[x] * sums[x];
        }
        for (int x = 0; x < few; x++) to[offset_of(u, sample, axis, scale, row, x)] = line[x];
    }
}

// flow [N, 2, 4h, 4w].
void upsample_forward(const Upsample *u, float *flow, int threads) {
    int64_t pixels = DOWN * DOWN * u->height * u->width;
    Between rows[2], columns[2];
    for (int k = 0; k < 2; k++) {
        find_between(&rows[k], u->height * (1 + k), DOWN / (1 + k));
        find_between(&columns[k], u->width * (1 + k), DOWN / (1 + k));
    }
    memset(flow, 0, u->samples * AXES * pixels * sizeof(float));
#pragma omp parallel for num_threads(threads)
    for (int64_t sample = 0; sample < u->samples; sample++)
        for (int axis = 0; axis < AXES; axis++)
            for (int k = 0; k < 2; k++)
                add_scale(u, sample, axis, DOWN / (1 + k), &rows[k], &columns[k], flow + (AXES * sample + axis) * pixels);
}

// dflow [N, 2, 4h, 4w] -> dfield [N, h, w, F], zero in the channels between.
void upsample_backward(const Upsample *u, const float *dflow, float *dfield, int threads) {
    int64_t pixels = DOWN * DOWN * u->height * u->width, numbers = u->height * u->width * u->fields;
    Between rows[2], columns[2];
    for (int k = 0; k < 2; k++) {
        find_between(&rows[k], u->height * (1 + k), DOWN / (1 + k));
        find_between(&columns[k], u->width * (1 + k), DOWN / (1 + k));
    }
#pragma omp parallel for num_threads(threads)
    for (int64_t sample = 0; sample < u->samples; sample++) {
        memset(dfield + sample * numbers, 0, numbers * sizeof(float));
        for (int axis = 0; axis < AXES; axis++)
            for (int k = 0; k < 2; k++)
                take_scale(u, sample, axis, DOWN / (1 + k), &rows[k], &columns[k], dflow + (AXES * sample + axis) * pixels, dfield);
    }
}
