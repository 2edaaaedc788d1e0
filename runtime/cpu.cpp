// Does this processor have what the model was compiled for?
#include <string.h>

#include "nn/runtime_symbols.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace {

#if defined(__x86_64__)

enum Register { Eax, Ebx, Ecx, Edx };
// What the operating system must save on a context switch, as bits of XCR0.
constexpr uint64_t nothing = 0, avx_state = 0x6, avx512_state = 0xe6, amx_state = 0x60000;

struct Feature {
  const char* name;  // as in /proc/cpuinfo
  uint32_t leaf, subleaf;
  Register where;
  int bit;
  uint64_t state;
};

constexpr Feature features[] = {
    {"fpu", 1, 0, Edx, 0, nothing},
    {"cmov", 1, 0, Edx, 15, nothing},
    {"mmx", 1, 0, Edx, 23, nothing},
    {"fxsr", 1, 0, Edx, 24, nothing},
    {"sse", 1, 0, Edx, 25, nothing},
    {"sse2", 1, 0, Edx, 26, nothing},
    {"pni", 1, 0, Ecx, 0, nothing},
    {"pclmulqdq", 1, 0, Ecx, 1, nothing},
    {"ssse3", 1, 0, Ecx, 9, nothing},
    {"fma", 1, 0, Ecx, 12, avx_state},
    {"cx16", 1, 0, Ecx, 13, nothing},
    {"sse4_1", 1, 0, Ecx, 19, nothing},
    {"sse4_2", 1, 0, Ecx, 20, nothing},
    {"movbe", 1, 0, Ecx, 22, nothing},
    {"popcnt", 1, 0, Ecx, 23, nothing},
    {"aes", 1, 0, Ecx, 25, nothing},
    {"xsave", 1, 0, Ecx, 26, nothing},
    {"osxsave", 1, 0, Ecx, 27, nothing},
    {"avx", 1, 0, Ecx, 28, avx_state},
    {"f16c", 1, 0, Ecx, 29, avx_state},
    {"fsgsbase", 7, 0, Ebx, 0, nothing},
    {"bmi1", 7, 0, Ebx, 3, nothing},
    {"avx2", 7, 0, Ebx, 5, avx_state},
    {"bmi2", 7, 0, Ebx, 8, nothing},
    {"avx512f", 7, 0, Ebx, 16, avx512_state},
    {"avx512dq", 7, 0, Ebx, 17, avx512_state},
    {"avx512ifma", 7, 0, Ebx, 21, avx512_state},
    {"avx512cd", 7, 0, Ebx, 28, avx512_state},
    {"avx512bw", 7, 0, Ebx, 30, avx512_state},
    {"avx512vl", 7, 0, Ebx, 31, avx512_state},
    {"avx512vbmi", 7, 0, Ecx, 1, avx512_state},
    {"avx512_vbmi2", 7, 0, Ecx, 6, avx512_state},
    {"gfni", 7, 0, Ecx, 8, nothing},
    {"vaes", 7, 0, Ecx, 9, avx_state},
    {"vpclmulqdq", 7, 0, Ecx, 10, avx_state},
    {"avx512_vnni", 7, 0, Ecx, 11, avx512_state},
    {"avx512_bitalg", 7, 0, Ecx, 12, avx512_state},
    {"avx512_vpopcntdq", 7, 0, Ecx, 14, avx512_state},
    {"amx_bf16", 7, 0, Edx, 22, amx_state},
    {"avx512_fp16", 7, 0, Edx, 23, avx512_state},
    {"amx_tile", 7, 0, Edx, 24, amx_state},
    {"amx_int8", 7, 0, Edx, 25, amx_state},
    {"avx_vnni", 7, 1, Eax, 4, avx_state},
    {"avx512_bf16", 7, 1, Eax, 5, avx512_state},
    {"lahf_lm", 0x80000001, 0, Ecx, 0, nothing},
    {"abm", 0x80000001, 0, Ecx, 5, nothing},
    {"lm", 0x80000001, 0, Edx, 29, nothing},
};

uint64_t saved_state() {
  uint32_t eax, ebx, ecx, edx;
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & bit_OSXSAVE)) return 0;
  asm volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
  return uint64_t{edx} << 32 | eax;
}

bool has_feature(const char* name) {
  for (const Feature& feature : features) {
    if (strcmp(feature.name, name) != 0) continue;
    uint32_t registers[4];
    if (!__get_cpuid_count(feature.leaf, feature.subleaf, &registers[Eax], &registers[Ebx], &registers[Ecx],
                           &registers[Edx]))
      return false;
    if (!(registers[feature.where] >> feature.bit & 1)) return false;
    return feature.state == nothing || (saved_state() & feature.state) == feature.state;
  }
  return false;
}

#elif defined(__aarch64__)

struct Feature {
  const char* name;
  unsigned long word;
  int bit;
};

constexpr Feature features[] = {
    {"fp", AT_HWCAP, 0},       {"asimd", AT_HWCAP, 1},     {"aes", AT_HWCAP, 3},
    {"crc32", AT_HWCAP, 7},    {"atomics", AT_HWCAP, 8},   {"fphp", AT_HWCAP, 9},
    {"asimdhp", AT_HWCAP, 10}, {"asimdrdm", AT_HWCAP, 12}, {"asimddp", AT_HWCAP, 20},
    {"sve", AT_HWCAP, 22},     {"asimdfhm", AT_HWCAP, 23}, {"sve2", AT_HWCAP2, 1},
    {"i8mm", AT_HWCAP2, 13},   {"bf16", AT_HWCAP2, 14},
};

bool has_feature(const char* name) {
  for (const Feature& feature : features) {
    if (strcmp(feature.name, name) == 0) return getauxval(feature.word) >> feature.bit & 1;
  }
  return false;
}

#endif

}  // namespace

const char* nn_runtime_missing_cpu_feature(const nn_model* model) {
  for (const char* const* name = model->cpu_features; name && *name; name++) {
    if (!has_feature(*name)) return *name;
  }
  return nullptr;
}
