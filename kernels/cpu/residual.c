// y = h + silu(norm(x)), the norm over each cell's channels: `Context` in worlds/world_model/conv_gru.py has it in PyTorch.

#include "rows.h"

enum { MOST = 1024 };  // channels

typedef struct {
    int64_t samples, cells, channels;
    Map x, h;
    const float *weight, *bias;  // [C]
} Residual;

void residual_forward(const Residual *r, const Map *out, int threads) {
#pragma omp parallel for num_threads(threads)
    for (int64_t sample = 0; sample < r->samples; sample++) {
        float x[MOST], h[MOST];
        int c = r->channels;
        for (int64_t at = 0; at < r->cells; at++) {
            read_row(x, &r->x, sample, at * c, c);
            read_row(h, &r->h, sample, at * c, c);
            normalize(x, c);
#pragma omp simd
            for (int i = 0; i < c; i++) {
                float y = x[i] * r->weight[i] + r->bias[i];
                h[i] += y * sigmoid(y);
            }
            write_row(h, out, sample, at * c, c);
        }
    }
}

// dh is dout. Adds to dweight and dbias [N, C], which begin as zeros.
void residual_backward(const Residual *r, const Map *dout, const Map *dx, float *dweight, float *dbias, int threads) {
#pragma omp parallel for num_threads(threads)
    for (int64_t sample = 0; sample < r->samples; sample++) {
        float x[MOST], d[MOST];
        int c = r->channels;
        float *restrict dw = dweight + sample * c, *restrict db = dbias + sample * c;
        for (int64_t at = 0; at < r->cells; at++) {
            read_row(x, &r->x, sample, at * c, c);
            read_row(d, dout, sample, at * c, c);
            float scale = normalize(x, c);
#pragma omp simd
            for (int i = 0; i < c; i++) {
                float y = x[i] * r->weight[i] + r->bias[i], s = sigmoid(y);
                d[i] *= s * (1 + y * (1 - s));
                db[i] += d[i];
                dw[i] += d[i] * x[i];
                d[i] *= r->weight[i];
            }
            normalize_backward(d, x, scale, c);
            write_row(d, dx, sample, at * c, c);
        }
    }
}
