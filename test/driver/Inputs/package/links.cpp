#include <linked.h>

#include <cstdio>

int main() { std::printf("linked: %zu bytes\n", linked::variable_bytes); }
