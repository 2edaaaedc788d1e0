// Files of training data: .npy, IDX and CSV, each possibly gzipped. What a file is is seen from its content,
// not from its name.
#pragma once
#include <string>

#include "tools/npy.h"

namespace nncc {

// Reads `place`: a path, and for CSV optionally a colon and columns, by number from 0 or by name:
// "iris.csv:0-3", "iris.csv:species", "data.csv:0-3,7". The result has one row for each of the file's; a
// single column gives a vector.
//
// CSV: separated by commas, semicolons, tabs or spaces, fields possibly quoted. A first line with other
// fields than the second (text above numbers, or another number of them) is a header. A column of text
// becomes i64, the place of each text among the column's in order; other columns are f64. Throws UserError.
Array read_data(const std::string& place);

// A file unpacked if it is gzipped.
std::string read_unpacked(const std::string& path);

}  // namespace nncc
