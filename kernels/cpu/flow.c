// A bounded flow from what is there and what is done: the end of `Flow` in worlds/world_model/conv_gru.py.
//
//     mixed = look * sum_p basis_p act_p,    flow = most * tanh((weight mixed + bias + sum_p basis_p direct_p) / most)

#include "rows.h"

enum { MOST_HIDDEN = 64, MOST_OUT = 16 };

typedef struct {
    int64_t samples, cells, hidden, out, place_count;
    Map look, act, direct;      // [N, cells, hidden], fp32 [N, P, hidden] and [N, P, out]
    const float *weight, *bias;  // [out, hidden], [out]
    const float *basis;         // [cells, P]
    float most;
} Field;

static inline const float *sample_of(const Map *rows, int64_t sample) {
    return (const float *)rows->at + sample * rows->stride;
}

// Reads a cell's row -> `act`, `mixed`.
static inline void mix(const Field *f, int64_t sample, int64_t at, float *restrict look, float *restrict act, float *restrict mixed) {
    int hidden = f->hidden;
    read_row(look, &f->look, sample, at * hidden, hidden);
    memset(act, 0, hidden * sizeof(float));
    add_places(act, f->basis + at * f->place_count, sample_of(&f->act, sample), f->place_count, hidden);
#pragma omp simd
    for (int i = 0; i < hidden; i++) mixed[i] = look[i] * act[i];
}

// out fp32 [N, cells, out].
void flow_forward(const Field *f, float *out, int threads) {
#pragma omp parallel for num_threads(threads)
    for (int64_t sample = 0; sample < f->samples; sample++) {
        float look[MOST_HIDDEN], act[MOST_HIDDEN], mixed[MOST_HIDDEN] = {0};
        float weight[MOST_HIDDEN][MOST_OUT] = {{0}}, bias[MOST_OUT] = {0};  // side by side: all sums of a cell at once
        for (int o = 0; o < f->out; o++) {
            bias[o] = f->bias[o];
            for (int i = 0; i < f->hidden; i++) weight[i][o] = f->weight[o * f->hidden + i];
        }
        for (int64_t at = 0; at < f->cells; at++) {
            mix(f, sample, at, look, act, mixed);
            float sums[MOST_OUT], odd[MOST_OUT] = {0};  // two chains of additions: one waits for itself
            memcpy(sums, bias, sizeof sums);
            for (int i = 0; i < f->hidden; i += 4)
#pragma omp simd
                for (int o = 0; o < MOST_OUT; o++) {
                    sums[o] += mixed[i] * weight[i][o] + mixed[i + 2] * weight[i + 2][o];
                    odd[o] += mixed[i + 1] * weight[i + 1][o] + mixed[i + 3] * weight[i + 3][o];
                }
            for (int o = 0; o < MOST_OUT; o++) sums[o] += odd[o];
            float *row = out + (sample * f->cells + at) * f->out;
            memcpy(row, sums, f->out * sizeof(float));
            add_places(row, f->basis + at * f->place_count, sample_of(&f->direct, sample), f->place_count, f->out);
            for (int o = 0; o < f->out; o++) row[o] = f->most * tanh_(row[o] / f->most);
        }
    }
}

// Adds to dact [N, P, hidden], ddirect [N, P, out], dweight [N, out, hidden] and dbias [N, out], which begin as zeros.
void flow_backward(const Field *f, const float *out, const float *dout, const Map *dlook, float *dact, float *ddirect,
                   float *dweight, float *dbias, int threads) {
#pragma omp parallel for num_threads(threads)
    for (int64_t sample = 0; sample < f->samples; sample++) {
        float look[MOST_HIDDEN], act[MOST_HIDDEN], mixed[MOST_HIDDEN], grad[MOST_HIDDEN], d[MOST_OUT];
        int hidden = f->hidden, count = f->place_count;
        for (int64_t at = 0; at < f->cells; at++) {
            const float *basis = f->basis + at * count;
            mix(f, sample, at, look, act, mixed);
            memset(grad, 0, sizeof grad);
            for (int o = 0; o < f->out; o++) {
                int64_t number = (sample * f->cells + at) * f->out + o;
                float along = out[number] / f->most, given = dout[number] * (1 - along * along);
                float *restrict sums = dweight + (sample * f->out + o) * hidden;
                const float *weight = f->weight + o * hidden;
                d[o] = given;
                dbias[sample * f->out + o] += given;
#pragma omp simd
                for (int i = 0; i < hidden; i++) {
                    sums[i] += given * mixed[i];
                    grad[i] += given * weight[i];
                }
            }
            spread_places(ddirect + sample * count * f->out, basis, d, count, f->out);
#pragma omp simd
            for (int i = 0; i < hidden; i++) {
                act[i] *= grad[i];
                grad[i] *= look[i];
            }
            spread_places(dact + sample * count * hidden, basis, grad, count, hidden);
            write_row(act, dlook, sample, at * hidden, hidden);
        }
    }
}
