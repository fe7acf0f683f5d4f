// Group norm (Wu and He 2018, arXiv:1803.08494), then SiLU, with weights that get no gradient.
//
//     y = silu(normal(x) * weight + bias)        normal: over a group's channels in all cells of a sample
//
// The backward computes the statistics again.

#include "rows.h"

enum { MOST = 1024 };  // channels

typedef struct {
    int64_t samples, cells, channels, groups;
    Map x;
    const float *weight, *bias;  // [C]
} Norm;

// -> by channel: normal(x) = x * scale + shift.
static void statistics(const Norm *norm, int64_t sample, float *restrict scale, float *restrict shift) {
    float row[MOST], sum[MOST] = {0}, squares[MOST] = {0}, first[MOST];
    int c = norm->channels, part = c / norm->groups;
    read_row(first, &norm->x, sample, 0, c);  // differences to the first cell: squares of large numbers would cancel
    for (int64_t at = 0; at < norm->cells; at++) {
        read_row(row, &norm->x, sample, at * c, c);
#pragma omp simd
        for (int i = 0; i < c; i++) {
            float from = row[i] - first[i];
            sum[i] += from;
            squares[i] += from * from;
        }
    }
    float cells = norm->cells;
    for (int begin = 0; begin < c; begin += part) {
        float mean = 0, variance = 0;
        for (int i = begin; i < begin + part; i++) mean += first[i] + sum[i] / cells;
        mean /= part;
        for (int i = begin; i < begin + part; i++) {
            float own = sum[i] / cells, away = first[i] + own - mean;
            variance += squares[i] / cells - own * own + away * away;
        }
        float inverse = 1.0f / sqrtf(variance / part + 1e-5f);
        for (int i = begin; i < begin + part; i++) {
            scale[i] = inverse;
            shift[i] = -mean * inverse;
        }
    }
}

void group_norm_silu_forward(const Norm *norm, const Map *out, int threads) {
#pragma omp parallel for num_threads(threads)
    for (int64_t sample = 0; sample < norm->samples; sample++) {
        float row[MOST], scale[MOST], shift[MOST];
        int c = norm->channels;
        statistics(norm, sample, scale, shift);
        for (int64_t at = 0; at < norm->cells; at++) {
            read_row(row, &norm->x, sample, at * c, c);
#pragma omp simd
            for (int i = 0; i < c; i++) {
                float y = (row[i] * scale[i] + shift[i]) * norm->weight[i] + norm->bias[i];
                row[i] = y * sigmoid(y);
            }
            write_row(row, out, sample, at * c, c);
        }
    }
}

static inline void before_silu(float *restrict row, float *restrict grad, const Norm *norm, const float *scale, const float *shift) {
    int c = norm->channels;
#pragma omp simd
    for (int i = 0; i < c; i++) {
        row[i] = row[i] * scale[i] + shift[i];
        float y = row[i] * norm->weight[i] + norm->bias[i], s = sigmoid(y);
        grad[i] *= s * (1 + y * (1 - s)) * norm->weight[i];
    }
}

void group_norm_silu_backward(const Norm *norm, const Map *dout, const Map *dx, int threads) {
#pragma omp parallel for num_threads(threads)
    for (int64_t sample = 0; sample < norm->samples; sample++) {
        float row[MOST], grad[MOST], scale[MOST], shift[MOST], sum[MOST] = {0}, product[MOST] = {0};
        int c = norm->channels, part = c / norm->groups;
        statistics(norm, sample, scale, shift);
        for (int64_t at = 0; at < norm->cells; at++) {
            read_row(row, &norm->x, sample, at * c, c);
            read_row(grad, dout, sample, at * c, c);
            before_silu(row, grad, norm, scale, shift);
#pragma omp simd
            for (int i = 0; i < c; i++) {
                sum[i] += grad[i];
                product[i] += grad[i] * row[i];
            }
        }
        float count = (float)norm->cells * part;
        for (int begin = 0; begin < c; begin += part) {
            float all = 0, along = 0;
            for (int i = begin; i < begin + part; i++) all += sum[i], along += product[i];
            for (int i = begin; i < begin + part; i++) sum[i] = all / count, product[i] = along / count;
        }
        for (int64_t at = 0; at < norm->cells; at++) {
            read_row(row, &norm->x, sample, at * c, c);
            read_row(grad, dout, sample, at * c, c);
            before_silu(row, grad, norm, scale, shift);
#pragma omp simd
            for (int i = 0; i < c; i++) grad[i] = scale[i] * (grad[i] - sum[i] - row[i] * product[i]);
            write_row(grad, dx, sample, at * c, c);
        }
    }
}
