// Products against OpenBLAS, each on one thread, alternately in one program; prints GFLOP/s of both and their
// ratio.
#include <cblas.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <vector>

#include "ir/builder.h"
#include "test/codegen/kernel_library.h"

extern "C" void openblas_set_num_threads(int);

namespace {

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Product {
  int m, k, n;
  bool transpose_a, transpose_b;
};

nncc::Function product_kernel(const Product& p) {
  using namespace nncc;
  Function function;
  function.name = "product";
  function.kind = FunctionKind::Kernel;
  GraphBuilder builder(function.body);
  const Shape a = p.transpose_a ? Shape{p.k, p.m} : Shape{p.m, p.k};
  const Shape b = p.transpose_b ? Shape{p.n, p.k} : Shape{p.k, p.n};
  const Value x = function.body.add_argument("a", {DType::F32, a}),
              w = function.body.add_argument("b", {DType::F32, b});
  const Value y =
      builder.add(Op::MatMul, {x, w}, {{Attr::TransposeA, p.transpose_a}, {Attr::TransposeB, p.transpose_b}});
  function.body.results.push_back({"result", y});
  return function;
}

// The fastest of several blocks of calls of each function, the functions in turn.
std::array<double, 2> fastest(const std::array<std::function<void()>, 2>& functions) {
  std::array<int, 2> calls{};
  std::array<double, 2> best{1e9, 1e9};
  for (size_t i = 0; i < 2; ++i) {
    functions[i]();
    const double start = seconds();
    functions[i]();
    calls[i] = std::max(1, static_cast<int>(0.005 / (seconds() - start)));
  }
  for (int round = 0; round < 41; ++round) {
    for (size_t i = 0; i < 2; ++i) {
      const double start = seconds();
      for (int c = 0; c < calls[i]; ++c) functions[i]();
      best[i] = std::min(best[i], (seconds() - start) / calls[i]);
    }
  }
  return best;
}

float* aligned_floats(size_t n) {
  auto* p = static_cast<float*>(std::aligned_alloc(64, (n * sizeof(float) + 127) / 64 * 64));
  for (size_t i = 0; i < n; ++i) p[i] = static_cast<float>(std::rand()) / static_cast<float>(RAND_MAX) - 0.5f;
  return p;
}

}  // namespace

int main() {
  openblas_set_num_threads(1);
  std::vector<Product> products;
  for (const auto& [m, k, n] : std::vector<std::array<int, 3>>{{512, 512, 512},
                                                               {1024, 1024, 1024},
                                                               {257, 300, 129},
                                                               {64, 784, 256},
                                                               {64, 256, 10},
                                                               {32, 160, 512}})
    for (int form = 0; form < 4; ++form) products.push_back({m, k, n, (form & 1) != 0, (form & 2) != 0});
  std::vector<nncc::Function> kernels;
  for (const Product& p : products) kernels.push_back(product_kernel(p));
  nncc::CodegenOptions options;
  options.target = &nncc::testing::host_target();
  options.threads = 1;
  const nncc::testing::KernelLibrary library(kernels, options);
  double log_sum = 0;
  for (size_t i = 0; i < products.size(); ++i) {
    const Product& p = products[i];
    const size_t m = static_cast<size_t>(p.m), k = static_cast<size_t>(p.k), n = static_cast<size_t>(p.n);
    float *a = aligned_floats(m * k), *b = aligned_floats(k * n), *c = aligned_floats(m * n),
          *d = aligned_floats(m * n);
    const std::array<void*, 3> hosts{a, b, c};
    const auto time =
        fastest({[&] { library.call_raw(i, hosts); },
                 [&] {
                   cblas_sgemm(CblasRowMajor, p.transpose_a ? CblasTrans : CblasNoTrans,
                               p.transpose_b ? CblasTrans : CblasNoTrans, p.m, p.n, p.k, 1, a,
                               p.transpose_a ? p.m : p.k, b, p.transpose_b ? p.k : p.n, 0, d, p.n);
                 }});
    double difference = 0;
    for (size_t e = 0; e < m * n; ++e)
      difference = std::max(difference, static_cast<double>(std::abs(c[e] - d[e])));
    const double flops = 2.0 * p.m * p.k * p.n;
    std::printf("%4d x %4d x %4d  %c%c  %7.1f GFLOP/s  OpenBLAS %7.1f  ratio %.2f  difference %.1e\n", p.m,
                p.k, p.n, p.transpose_a ? 'T' : 'N', p.transpose_b ? 'T' : 'N', flops / time[0] * 1e-9,
                flops / time[1] * 1e-9, time[1] / time[0], difference);
    std::fflush(stdout);
    log_sum += std::log(time[1] / time[0]);
    for (float* buffer : {a, b, c, d}) std::free(buffer);
  }
  std::printf("geometric mean of the ratios: %.3f\n",
              std::exp(log_sum / static_cast<double>(products.size())));
  return 0;
}
