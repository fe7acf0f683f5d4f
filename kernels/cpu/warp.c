// A state moved by its flow: bilinear, edges kept; `warp` in worlds/world_model/conv_gru.py has it in PyTorch.
//
// h [N, H, W, C]; the field [N, H, W, F] begins with x and y, in cells, of each of the `groups` of channels.

#include "rows.h"

typedef struct {
    int64_t samples, height, width, channels, groups, fields;
    const float *h, *field;
} Warp;

typedef struct {
    int64_t corner[4];
    float fx, fy, moves_x, moves_y;  // `moves`: 0 where the place was taken back to the edge
} Place;

static inline float kept(float x, float last, float *moves) {
    *moves = x > 0 && x < last ? 1.0f : 0.0f;
    return x > 0 ? (x < last ? x : last) : 0.0f;  // and 0 for what is no number
}

static Place place_of(const Warp *w, int64_t row, int64_t column, const float *flow) {
    Place at;
    float x = kept(rounded(column + flow[0], w->width), w->width - 1, &at.moves_x);
    float y = kept(rounded(row + flow[1], w->height), w->height - 1, &at.moves_y);
    int64_t x0 = (int64_t)x, y0 = (int64_t)y;
    int64_t x1 = x0 + 1 < w->width ? x0 + 1 : x0, y1 = y0 + 1 < w->height ? y0 + 1 : y0;
    at.fx = x - x0;
    at.fy = y - y0;
    at.corner[0] = (y0 * w->width + x0) * w->channels;
    at.corner[1] = (y0 * w->width + x1) * w->channels;
    at.corner[2] = (y1 * w->width + x0) * w->channels;
    at.corner[3] = (y1 * w->width + x1) * w->channels;
    return at;
}

void warp_forward(const Warp *w, float *out, int threads) {
    int64_t cells = w->height * w->width;
    int part = w->channels / w->groups;
#pragma omp parallel for num_threads(threads)
    for (int64_t sample = 0; sample < w->samples; sample++)
        for (int64_t cell = 0; cell < cells; cell++)
            for (int64_t group = 0; group < w->groups; group++) {
                const float *flow = w->field + (sample * cells + cell) * w->fields + 2 * group;
                Place at = place_of(w, cell / w->width, cell % w->width, flow);
                const float *from = w->h + sample * cells * w->channels + group * part;
                const float *v00 = from + at.corner[0], *v01 = from + at.corner[1];
                const float *v10 = from + at.corner[2], *v11 = from + at.corner[3];
                float *restrict to = out + (sample * cells + cell) * w->channels + group * part;
                float w00 = (1 - at.fx) * (1 - at.fy), w01 = at.fx * (1 - at.fy);
                float w10 = (1 - at.fx) * at.fy, w11 = at.fx * at.fy;
#pragma omp simd
                for (int i = 0; i < part; i++) to[i] = w00 * v00[i] + w01 * v01[i] + w10 * v10[i] + w11 * v11[i];
            }
}

// Adds to dh and dfield, which begin as zeros.
void warp_backward(const Warp *w, const float *dout, float *dh, float *dfield, int threads) {
    int64_t cells = w->height * w->width;
    int part = w->channels / w->groups;
#pragma omp parallel for num_threads(threads)
    for (int64_t sample = 0; sample < w->samples; sample++)
        for (int64_t cell = 0; cell < cells; cell++)
            for (int64_t group = 0; group < w->groups; group++) {
                int64_t offset = (sample * cells + cell) * w->fields + 2 * group;
                Place at = place_of(w, cell / w->width, cell % w->width, w->field + offset);
                int64_t begins = sample * cells * w->channels + group * part;
                const float *grad = dout + (sample * cells + cell) * w->channels + group * part;
                float weights[4] = {(1 - at.fx) * (1 - at.fy), at.fx * (1 - at.fy), (1 - at.fx) * at.fy, at.fx * at.fy};
                float products[4] = {0};
                for (int k = 0; k < 4; k++) {
                    const float *value = w->h + begins + at.corner[k];
                    float *restrict to = dh + begins + at.corner[k];
                    float weight = weights[k], product = 0;
#pragma omp simd reduction(+ : product)
                    for (int i = 0; i < part; i++) {
                        product += grad[i] * value[i];
                        to[i] += weight * grad[i];
                    }
                    products[k] = product;
                }
                dfield[offset] = at.moves_x * ((products[1] - products[0]) * (1 - at.fy) + (products[3] - products[2]) * at.fy);
                dfield[offset + 1] = at.moves_y * ((products[2] - products[0]) * (1 - at.fx) + (products[3] - products[1]) * at.fx);
            }
}
