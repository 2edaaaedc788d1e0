#include "tools/nnrun/data_file.h"

#include <sys/stat.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <map>
#include <memory>
#include <optional>

#include "tools/nnrun/common.h"

namespace nncc {
namespace {

bool is_file(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0;
}

// "path:columns" in two; a colon that belongs to an existing file's name stays there.
std::pair<std::string, std::string> split_place(const std::string& place) {
  const size_t colon = place.rfind(':');
  if (colon == std::string::npos || is_file(place)) return {place, ""};
  return {place.substr(0, colon), place.substr(colon + 1)};
}

// Two zeros, the element type, the rank; then the extents, big-endian.
bool is_idx(std::string_view bytes) {
  constexpr std::string_view kTypes("\x08\x09\x0b\x0c\x0d\x0e", 6);
  return bytes.size() >= 8 && bytes[0] == 0 && bytes[1] == 0 &&
         kTypes.find(bytes[2]) != std::string_view::npos && bytes[3] > 0 && bytes[3] < 16;
}

// As .npy, whose reader turns the bytes round and checks the length.
Array parse_idx(const std::string& path, std::string_view bytes) {
  constexpr const char* kNames[] = {"|u1", "|i1", "", ">i2", ">i4", ">f4", ">f8"};
  const auto rank = static_cast<size_t>(bytes[3]);
  const size_t begin = 4 + 4 * rank;
  if (bytes.size() < begin) throw UserError("cannot read " + path + ": it ends within its header");
  std::string shape;
  for (size_t i = 0; i < rank; ++i) {
    uint32_t extent = 0;
    for (size_t k = 0; k < 4; ++k) extent = extent << 8 | static_cast<unsigned char>(bytes[4 + 4 * i + k]);
    shape += std::to_string(extent) + ",";
  }
  const std::string header = "{'descr': '" + std::string(kNames[bytes[2] - 8]) +
                             "', 'fortran_order': False, 'shape': (" + shape + ")}";
  std::string npy = "\x93NUMPY";
  npy += {'\1', '\0', static_cast<char>(header.size() & 255), static_cast<char>(header.size() >> 8)};
  npy += header;
  npy += bytes.substr(begin);
  std::string why;
  auto array = parse_npy(npy, why);
  if (!array) throw UserError("cannot read " + path + ": " + why);
  return std::move(*array);
}

std::optional<double> number_in(std::string_view field) {
  double value = 0;
  if (!field.empty() && field[0] == '+') field.remove_prefix(1);
  auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (error != std::errc{} || end != field.data() + field.size()) return std::nullopt;
  return value;
}

// One line of a CSV file in its fields, unquoted.
std::vector<std::string> split_line(std::string_view line, char separator) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '"' && quoted && i + 1 < line.size() && line[i + 1] == '"')
      fields.back() += line[++i];
    else if (c == '"')
      quoted = !quoted;
    else if (c == separator && !quoted)
      fields.emplace_back();
    else
      fields.back() += c;
  }
  for (std::string& field : fields) {
    const size_t first = field.find_first_not_of(" \t"), last = field.find_last_not_of(" \t\r");
    field =
        first == std::string::npos || last == std::string::npos ? "" : field.substr(first, last - first + 1);
  }
  return fields;
}

struct Column {
  std::vector<double> numbers;
  std::vector<std::string> texts;  // in place of numbers
  bool is_text = false;
};

struct Table {
  std::vector<std::string> names;  // empty: no header
  std::vector<Column> columns;
  size_t rows = 0;
};

class CsvReader {
 public:
  CsvReader(const std::string& path, std::string_view text) : path_(path), rest_(text) {
    if (rest_.substr(0, 3) == "\xef\xbb\xbf") rest_.remove_prefix(3);
  }

  Table read() {
    std::vector<std::string> first, second;
    if (!next(first)) fail("it has no line");
    const bool two = next(second);
    const bool header = two && is_header(first, second);
    if (header) table_.names = first.size() == second.size() ? first : std::vector<std::string>();
    const std::vector<std::string>& begin = header ? second : first;
    table_.columns.resize(begin.size());
    for (size_t i = 0; i < begin.size(); ++i) table_.columns[i].is_text = !number_in(begin[i]);
    add(begin, header || !two ? line_ : line_ - 1);
    if (two && !header) add(second, line_);
    for (std::vector<std::string> fields; next(fields);) add(fields, line_);
    return std::move(table_);
  }

 private:
  [[noreturn]] void fail(const std::string& why) const {
    throw UserError("cannot read " + path_ + ": " + why);
  }

  static bool is_header(const std::vector<std::string>& first, const std::vector<std::string>& second) {
    if (first.size() != second.size()) return true;
    for (size_t i = 0; i < first.size(); ++i)
      if (!number_in(first[i]) && number_in(second[i])) return true;
    return false;
  }

  // The next line that isn't blank.
  bool next(std::vector<std::string>& fields) {
    while (!rest_.empty()) {
      const size_t end = std::min(rest_.find('\n'), rest_.size());
      const std::string_view line = rest_.substr(0, end);
      rest_.remove_prefix(std::min(end + 1, rest_.size()));
      ++line_;
      if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
      if (separator_ == 0) {
        for (char c : {' ', '\t', ';', ','})
          if (line.find(c) != std::string_view::npos) separator_ = c;
        if (separator_ == 0) separator_ = ',';
      }
      fields = split_line(line, separator_);
      return true;
    }
    return false;
  }

  void add(const std::vector<std::string>& fields, size_t line) {
    if (fields.size() != table_.columns.size())
      fail("line " + std::to_string(line) + " has " + std::to_string(fields.size()) +
           " fields, those before it " + std::to_string(table_.columns.size()));
    for (size_t i = 0; i < fields.size(); ++i) {
      Column& column = table_.columns[i];
      if (column.is_text) {
        column.texts.push_back(fields[i]);
        continue;
      }
      const auto number = number_in(fields[i]);
      if (!number)
        fail("line " + std::to_string(line) + ", column " + std::to_string(i) + ": `" + fields[i] +
             "` is not a number");
      column.numbers.push_back(*number);
    }
    ++table_.rows;
  }

  const std::string& path_;
  std::string_view rest_;
  char separator_ = 0;
  size_t line_ = 0;
  Table table_;
};

// "0-3,7" or names, as column numbers.
std::vector<size_t> choose_columns(const std::string& path, const Table& table, const std::string& text) {
  std::vector<size_t> chosen;
  // A number is never a name: headers may consist of numbers.
  const auto column = [&](const std::string& name) {
    size_t index = 0;
    auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
    if (error != std::errc{} || end != name.data() + name.size())
      index =
          static_cast<size_t>(std::find(table.names.begin(), table.names.end(), name) - table.names.begin());
    if (index >= table.columns.size())
      throw UserError(path + " has no column " + name + "; it has " + std::to_string(table.columns.size()) +
                      ", from 0");
    return index;
  };
  const auto is_name = [&](const std::string& name) {
    return !number_in(name) && std::find(table.names.begin(), table.names.end(), name) != table.names.end();
  };
  for (const std::string& part : is_name(text) ? std::vector{text} : split_line(text, ',')) {
    const size_t dash = part.find('-', 1);
    if (dash == std::string::npos || is_name(part)) {
      chosen.push_back(column(part));
      continue;
    }
    const size_t first = column(part.substr(0, dash)), last = column(part.substr(dash + 1));
    if (first > last) throw UserError("columns " + part + ": the first comes after the last");
    for (size_t i = first; i <= last; ++i) chosen.push_back(i);
  }
  return chosen;
}

// A column of text as the place of each text among the different ones, sorted.
std::vector<double> as_classes(const std::vector<std::string>& texts) {
  std::map<std::string, double> classes;
  for (const std::string& text : texts) classes[text] = 0;
  double next = 0;
  for (auto& [text, number] : classes) number = next++;
  std::vector<double> numbers;
  for (const std::string& text : texts) numbers.push_back(classes[text]);
  return numbers;
}

Array to_array(const Table& table, const std::vector<size_t>& columns) {
  const bool classes = columns.size() == 1 && table.columns[columns[0]].is_text;
  Array array{{classes ? DType::I64 : DType::F64, {static_cast<int64_t>(table.rows)}},
              std::vector<std::byte>(8 * table.rows * columns.size())};
  if (columns.size() > 1) array.type.shape.push_back(static_cast<int64_t>(columns.size()));
  for (size_t c = 0; c < columns.size(); ++c) {
    const Column& column = table.columns[columns[c]];
    const std::vector<double> numbers = column.is_text ? as_classes(column.texts) : column.numbers;
    for (size_t row = 0; row < table.rows; ++row) {
      std::byte* to = &array.bytes[8 * (row * columns.size() + c)];
      const auto integer = static_cast<int64_t>(numbers[row]);
      std::memcpy(to, classes ? static_cast<const void*>(&integer) : &numbers[row], 8);
    }
  }
  return array;
}

}  // namespace

std::string read_unpacked(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0) throw UserError("cannot read " + path + ": " + std::strerror(errno));
  if (S_ISDIR(status.st_mode)) throw UserError("cannot read " + path + ": it is a directory");
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose);
  if (!file) throw UserError("cannot read " + path + ": " + std::strerror(errno));
  constexpr size_t kChunk = size_t{1} << 20;
  gzbuffer(file.get(), kChunk / 4);
  std::string bytes;
  for (size_t used = 0;;) {
    bytes.resize(used + kChunk);
    const int count = gzread(file.get(), &bytes[used], kChunk);
    int code = Z_OK;
    const char* why = gzerror(file.get(), &code);
    if (count < 0 || (code != Z_OK && code != Z_STREAM_END))
      throw UserError("cannot read " + path + ": " + (code == Z_BUF_ERROR ? "it ends too early" : why));
    used += static_cast<size_t>(count);
    if (count > 0) continue;
    bytes.resize(used);
    return bytes;
  }
}

Array read_data(const std::string& place) {
  const auto [path, columns] = split_place(place);
  const std::string bytes = read_unpacked(path);
  std::string why;
  if (bytes.substr(0, 6) == "\x93NUMPY" || is_idx(bytes)) {
    if (!columns.empty()) throw UserError(path + " has no columns to choose: it is not CSV");
    if (is_idx(bytes)) return parse_idx(path, bytes);
    auto array = parse_npy(bytes, why);
    if (!array) throw UserError("cannot read " + path + ": " + why);
    return std::move(*array);
  }
  if (bytes.find('\0') != std::string::npos)
    throw UserError("cannot read " + path + ": it is neither .npy, nor IDX, nor CSV");
  const Table table = CsvReader(path, bytes).read();
  std::vector<size_t> chosen;
  if (columns.empty())
    for (size_t i = 0; i < table.columns.size(); ++i) chosen.push_back(i);
  else
    chosen = choose_columns(path, table, columns);
  return to_array(table, chosen);
}

}  // namespace nncc
