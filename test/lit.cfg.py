# Text tests. The built tools and LLVM's FileCheck, not, split-file … are called by their names.
import os

import lit.formats

config.name = "nncc"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".nn", ".nnir", ".test"]
config.excludes = ["Inputs", "programs", "data", "corpus"]  # what tests read
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.nncc_build_dir, "test")
config.environment["PATH"] = os.pathsep.join(
    [os.path.join(config.nncc_build_dir, "bin"), config.llvm_tools_dir, os.environ["PATH"]])
config.environment["PYTHONDONTWRITEBYTECODE"] = "1"
config.environment["XDG_CACHE_HOME"] = os.path.join(config.test_exec_root, "cache")  # not the user's
for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "HOME"):
    if name in os.environ:
        config.environment[name] = os.environ[name]

config.substitutions.append(("%python", config.python))
config.substitutions.append(("%build", config.nncc_build_dir))
config.substitutions.append(("%root", config.nncc_source_dir))  # of the tree: %root/examples/zoo/mlp.nn

# `REQUIRES: long`: runs under `scripts/test --long` alone.
if os.environ.get("NNCC_LONG_TESTS"):
    config.available_features.add("long")
