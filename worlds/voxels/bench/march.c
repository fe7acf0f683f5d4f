/* The march of worlds/voxels/render.py as one writes it in C, one thread: what the renderer is measured against.
   alpha [X][Y][Z], colour [X][Y][Z][6][3], rays [pixels][3] unit, out and grad [pixels][8]. */
#include <math.h>
#include <stdlib.h>

typedef struct { int n[3]; const float *alpha, *colour; const double *eye; } Grid;
typedef struct { int voxel, face; double t, light; } Hit;

static int trace(const Grid *g, const double *d, int spare, Hit *hits) {
    double inverse[3], t = -INFINITY, end = INFINITY;
    int axis = 1;
    for (int k = 0; k < 3; k++) {
        double o = g->eye[k];
        if (fabs(d[k]) < 1e-12) {
            inverse[k] = INFINITY;
            if (o < 0 || o >= g->n[k]) return 0;
            continue;
        }
        inverse[k] = 1 / d[k];
        double a = -o * inverse[k], b = (g->n[k] - o) * inverse[k];
        if (fmin(a, b) > t) { t = fmin(a, b); axis = k; }
        end = fmin(end, fmax(a, b));
    }
    if (end <= fmax(t, 0)) return 0;
    if (t < 0) { t = 0; axis = 1; }
    int at[3], step[3];
    double next[3], gap[3];
    for (int k = 0; k < 3; k++) {
        int place = (int)floor(g->eye[k] + d[k] * t);
        at[k] = place < 0 ? 0 : place >= g->n[k] ? g->n[k] - 1 : place;
        step[k] = d[k] > 0 ? 1 : -1;
        gap[k] = fabs(inverse[k]);
        next[k] = isinf(inverse[k]) ? INFINITY : (at[k] + (d[k] > 0) - g->eye[k]) * inverse[k];
    }
    int count = 0;
    double light = 1, least = 1, others = 1;
    for (;;) {
        int k = next[0] < next[1] && next[0] < next[2] ? 0 : next[1] < next[2] ? 1 : 2;
        if (next[k] - t > 1e-9) {
            int voxel = (at[0] * g->n[1] + at[1]) * g->n[2] + at[2];
            hits[count++] = (Hit){voxel, 2 * axis + (d[axis] < 0), t, light};
            double through = 1 - g->alpha[voxel];
            light *= through;
            others *= fmax(least, through);
            least = fmin(least, through);
            if ((spare ? others : light) < 1e-7) return count;
        }
        t = next[k];
        axis = k;
        at[k] += step[k];
        if (at[k] < 0 || at[k] >= g->n[k]) return count;
        next[k] += gap[k];
    }
}

void forward(int nx, int ny, int nz, const float *alpha, const float *colour, const double *eye, const double *rays,
             long pixels, float *out) {
    Grid g = {{nx, ny, nz}, alpha, colour, eye};
    Hit *hits = malloc((nx + ny + nz + 3) * sizeof(Hit));
    for (long p = 0; p < pixels; p++) {
        double sum[8] = {0};
        int count = trace(&g, rays + 3 * p, 0, hits);
        for (int i = 0; i < count; i++) {
            double weight = hits[i].light * alpha[hits[i].voxel];
            const float *c = colour + 18L * hits[i].voxel + 3 * hits[i].face;
            for (int k = 0; k < 3; k++) sum[k] += weight * c[k];
            sum[3] += weight;
            sum[4] += weight * hits[i].t;
            sum[5 + hits[i].face / 2] += hits[i].face & 1 ? weight : -weight;
        }
        for (int k = 0; k < 8; k++) out[8 * p + k] = (float)sum[k];
    }
    free(hits);
}

void backward(int nx, int ny, int nz, const float *alpha, const float *colour, const double *eye, const double *rays,
              long pixels, const float *grad, float *d_alpha, float *d_colour) {
    Grid g = {{nx, ny, nz}, alpha, colour, eye};
    Hit *hits = malloc((nx + ny + nz + 3) * sizeof(Hit));
    for (long p = 0; p < pixels; p++) {
        const float *u = grad + 8 * p;
        double behind = 0;
        for (int i = trace(&g, rays + 3 * p, 1, hits) - 1; i >= 0; i--) {
            Hit h = hits[i];
            double a = alpha[h.voxel], weight = h.light * a;
            const float *c = colour + 18L * h.voxel + 3 * h.face;
            double alone = u[0] * c[0] + u[1] * c[1] + u[2] * c[2] + u[3] + u[4] * h.t;
            alone += h.face & 1 ? u[5 + h.face / 2] : -u[5 + h.face / 2];
            d_alpha[h.voxel] += (float)(h.light * (alone - behind));
            for (int k = 0; k < 3; k++) d_colour[18L * h.voxel + 3 * h.face + k] += (float)(weight * u[k]);
            behind = a * alone + (1 - a) * behind;
        }
    }
    free(hits);
}
