// What a C++ programmer writes by hand for the two smallest networks: plain loops over arrays of fixed size,
// to be compiled with -O3 -march=native -ffast-math. The same protocol as nncc-serve: `loops tiny|backprop`.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

template <int I, int O>
struct Dense {
  alignas(64) float w[I * O];
  alignas(64) float b[O];
  alignas(64) float dw[I * O];
  alignas(64) float db[O];
  Dense() {
    for (float& v : w) v = static_cast<float>(std::rand()) / static_cast<float>(RAND_MAX) - 0.5f;
    for (float& v : b) v = 0;
  }
  template <int N>
  void forward(const float* x, float* y) const {
    for (int n = 0; n < N; ++n) {
      for (int o = 0; o < O; ++o) y[n * O + o] = b[o];
      for (int i = 0; i < I; ++i)
        for (int o = 0; o < O; ++o) y[n * O + o] += x[n * I + i] * w[i * O + o];
    }
  }
  template <int N>
  void backward(const float* x, const float* dy, float* dx) {
    for (float& v : dw) v = 0;
    for (float& v : db) v = 0;
    for (int n = 0; n < N; ++n) {
      for (int o = 0; o < O; ++o) db[o] += dy[n * O + o];
      for (int i = 0; i < I; ++i) {
        float sum = 0;
        for (int o = 0; o < O; ++o) {
          dw[i * O + o] += x[n * I + i] * dy[n * O + o];
          sum += dy[n * O + o] * w[i * O + o];
        }
        if (dx) dx[n * I + i] = sum;
      }
    }
  }
  void update(float lr) {
    for (int k = 0; k < I * O; ++k) w[k] -= lr * dw[k];
    for (int o = 0; o < O; ++o) b[o] -= lr * db[o];
  }
};

template <int N>
void random_fill(float (&a)[N]) {
  for (float& v : a) v = static_cast<float>(std::rand()) / static_cast<float>(RAND_MAX);
}

volatile float sink;

void tiny(long steps) {
  static Dense<4, 32> l1;
  static Dense<32, 16> l2;
  static Dense<16, 4> l3;
  constexpr int N = 32;
  alignas(64) static float x[N * 4], t[N * 4], h1[N * 32], h2[N * 16], y[N * 4], d1[N * 32], d2[N * 16],
      d3[N * 4];
  static bool filled = (random_fill(x), random_fill(t), true);
  (void)filled;
  for (; steps > 0; --steps) {
    l1.forward<N>(x, h1);
    for (float& v : h1) v = std::tanh(v);
    l2.forward<N>(h1, h2);
    for (float& v : h2) v = std::tanh(v);
    l3.forward<N>(h2, y);
    float loss = 0;
    for (int k = 0; k < N * 4; ++k) {
      const float e = y[k] - t[k];
      loss += e * e;
      d3[k] = 2 * e / (N * 4);
    }
    l3.backward<N>(h2, d3, d2);
    for (int k = 0; k < N * 16; ++k) d2[k] *= 1 - h2[k] * h2[k];
    l2.backward<N>(h1, d2, d1);
    for (int k = 0; k < N * 32; ++k) d1[k] *= 1 - h1[k] * h1[k];
    l1.backward<N>(x, d1, nullptr);
    l1.update(0.01f), l2.update(0.01f), l3.update(0.01f);
    sink = loss / (N * 4);
  }
}

void backprop(long steps) {
  static Dense<4, 8> l1;
  static Dense<8, 3> l2;
  alignas(64) static float x[4], t[3], h[8], y[3], d1[8], d2[3];
  static bool filled = (random_fill(x), random_fill(t), true);
  (void)filled;
  for (; steps > 0; --steps) {
    l1.forward<1>(x, h);
    for (float& v : h) v = 1 / (1 + std::exp(-v));
    l2.forward<1>(h, y);
    float loss = 0;
    for (int k = 0; k < 3; ++k) {
      y[k] = 1 / (1 + std::exp(-y[k]));
      const float e = t[k] - y[k];
      loss += e * e / 2;
      d2[k] = -e * y[k] * (1 - y[k]);
    }
    l2.backward<1>(h, d2, d1);
    for (int k = 0; k < 8; ++k) d1[k] *= h[k] * (1 - h[k]);
    l1.backward<1>(x, d1, nullptr);
    l1.update(0.5f), l2.update(0.5f);
    sink = loss;
  }
}

}  // namespace

int main(int argc, char** argv) {
  void (*const run)(long) = argc == 2 && std::strcmp(argv[1], "tiny") == 0       ? tiny
                            : argc == 2 && std::strcmp(argv[1], "backprop") == 0 ? backprop
                                                                                 : nullptr;
  if (!run) return std::fprintf(stderr, "usage: %s tiny|backprop\n", argv[0]), 1;
  run(10);
  std::puts("ready");
  std::fflush(stdout);
  for (long n; std::scanf("%ld", &n) == 1;) {
    const auto start = std::chrono::steady_clock::now();
    run(n);
    std::printf("%.9f\n", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    std::fflush(stdout);
  }
  return 0;
}
