// Reading files and following imports.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "frontend/ast.h"
#include "frontend/frontend.h"
#include "test/support/temporary_folder.h"

namespace nncc {
namespace {

namespace fs = std::filesystem;

class ProgramTest : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) {
    fs::create_directories(fs::path(path(name)).parent_path());
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }

  // The user's files in the order in which they were read, or the errors.
  std::vector<std::string> load(const std::string& path) {
    SourceManager sources;
    Diagnostics diags;
    const auto program = parse_program(path, sources, diags);
    std::vector<std::string> result;
    for (const Diagnostic& d : diags.all()) {
      result.push_back(d.message);
      for (const Diagnostic& note : d.notes) result.push_back("  " + note.message);
    }
    EXPECT_EQ(program == nullptr, !result.empty());
    if (!program) return result;
    for (const auto& file : program->files)
      if (!file->source->is_library) result.push_back(fs::path(file->source->path).filename().string());
    return result;
  }

  std::string path(const std::string& name) { return folder_.file(name); }

  test::TemporaryFolder folder_;
};

using Texts = std::vector<std::string>;

TEST_F(ProgramTest, ImportsAreRelativeAndReadOnce) {
  write("sub/a.nn", "import \"b.nn\"\nimport \"../c.nn\"\n");
  write("sub/b.nn", "import \"../c.nn\"\n");
  write("c.nn", "const c = 1\n");
  const std::string main = write("main.nn", "import \"sub/a.nn\"\nimport \"./sub/../c.nn\"\n");
  EXPECT_EQ(load(main), (Texts{"c.nn", "b.nn", "a.nn", "main.nn"}));
}

TEST_F(ProgramTest, CyclesShowTheirChain) {
  write("a.nn", "import \"b.nn\"\n");
  write("b.nn", "import \"main.nn\"\n");
  const std::string main = write("main.nn", "import \"a.nn\"\n");
  EXPECT_EQ(load(main),
            (Texts{"the import of `main.nn` closes a cycle", "  `" + path("a.nn") + "` is imported here",
                   "  `" + path("b.nn") + "` is imported here"}));
  const std::string self = write("self.nn", "import \"self.nn\"\n");
  EXPECT_EQ(load(self), (Texts{"the import of `self.nn` closes a cycle"}));
}

TEST_F(ProgramTest, FilesThatCannotBeRead) {
  EXPECT_EQ(load(path("nope.nn")),
            (Texts{"cannot read `" + path("nope.nn") + "`: No such file or directory"}));
  EXPECT_EQ(load(folder_.path()), (Texts{"cannot read `" + folder_.path() + "`: it is a directory"}));
  EXPECT_EQ(load(write("latin1.nn", "const a = 1 // \xE9\n")), (Texts{"the file is not UTF-8 text"}));
  EXPECT_EQ(
      load(write("huge.nn", std::string(100 << 20, 'x'))),
      (Texts{"cannot read `" + path("huge.nn") + "`: it is larger than 16 MB, the most a program may have"}));
  EXPECT_EQ(load(write("importer.nn", "import \"nope.nn\"\nimport \"\"\n")),
            (Texts{"cannot read `" + path("nope.nn") + "`: No such file or directory",
                   "expected a file's name, found an empty string"}));
}

TEST_F(ProgramTest, LongLinesAreFast) {
  std::string text = "const a = [";
  for (int i = 0; i < 200000; ++i) text += "1, ";
  const std::string good = write("long.nn", text + "]\n");
  EXPECT_EQ(load(good), (Texts{"long.nn"}));
  EXPECT_EQ(load(write("bad.nn", text + "$]\n")), (Texts{"unexpected character `$`"}));
}

TEST_F(ProgramTest, LibraryIsThere) {
  SourceManager sources;
  Diagnostics diags;
  const auto program = parse_program(write("main.nn", ""), sources, diags);
  ASSERT_TRUE(program);
  std::vector<std::string> paths;
  for (const auto& file : program->files)
    if (file->source->is_library) paths.push_back(file->source->path);
  EXPECT_EQ(paths,
            (Texts{"<std>/activations.nn", "<std>/images.nn", "<std>/initializers.nn", "<std>/layers.nn",
                   "<std>/losses.nn", "<std>/metrics.nn", "<std>/optimizers.nn", "<std>/schedules.nn"}));
  EXPECT_EQ(print_program(*program), "");
}

}  // namespace
}  // namespace nncc
