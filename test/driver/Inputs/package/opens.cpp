#include <nn/model.h>

#include <cstdio>

int main() {
  nn::Library library = nn::Library::open(MODEL);
  nn::Session session(library, {.seed = 1});
  std::printf("opened %s\n", library.name().data());
}
