#include "codegen/lowering.h"

#include <algorithm>

#include "codegen/elementary.h"
#include "codegen/lowering_rules.h"
#include "ir/diagnostic.h"
#include "ir/window.h"

namespace nncc {
using Halide::cast;
using Halide::Expr;
using Halide::Type;

Type storage_type(DType dtype) {
  switch (dtype) {
    case DType::F32:
      return Halide::Float(32);
    case DType::F16:
      return Halide::Float(16);
    case DType::BF16:
      return Halide::BFloat(16);
    case DType::F64:
      return Halide::Float(64);
    case DType::I8:
      return Halide::Int(8);
    case DType::U8:
      return Halide::UInt(8);
    case DType::I32:
      return Halide::Int(32);
    case DType::I64:
      return Halide::Int(64);
    case DType::Bool:
      return Halide::UInt(8);
  }
  NNCC_UNREACHABLE("unknown element type");
}

Expr inside_extent(const Expr& index, int64_t extent) {
  const Type type = index.type().bits() < 32 ? Halide::Int(32) : index.type();
  const auto limit = [&](int64_t n) { return Halide::Internal::make_const(type, n); };
  return cast<int>(Halide::clamp(cast(type, index), limit(0), limit(extent - 1)));
}

Type compute_type(DType dtype) {
  switch (dtype) {
    case DType::F16:
    case DType::BF16:
      return Halide::Float(32);
    case DType::Bool:
      return Halide::Bool();
    default:
      return storage_type(dtype);
  }
}

namespace {

bool same(const Expr& a, const Expr& b) { return a.same_as(b) || Halide::Internal::equal(a, b); }

Shape without_ones(Shape shape) {
  shape.erase(std::remove(shape.begin(), shape.end(), 1), shape.end());
  return shape;
}

}  // namespace

Expr Lowering::flatten(const Shape& shape, const Index& index) const {
  NNCC_CHECK(index.size() == shape.size(), "index and shape differ in rank");
  Shape extents;
  Index parts;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 1) continue;
    extents.push_back(shape[i]);
    parts.push_back(index[i]);
  }
  Expr flat = 0;
  for (size_t i = 0; i < extents.size();) {
    // The longest run from here that was one coordinate before.
    const Unflattened* found = nullptr;
    for (const Unflattened& u : unflattened_) {
      const size_t n = u.shape.size();
      if (i + n > extents.size() || (found && n <= found->shape.size())) continue;
      if (std::equal(u.shape.begin(), u.shape.end(), extents.begin() + i) &&
          std::equal(u.index.begin(), u.index.end(), parts.begin() + i, same))
        found = &u;
    }
    const size_t n = found ? found->shape.size() : 1;
    int extent = 1;
    for (size_t j = 0; j < n; ++j) extent *= static_cast<int>(extents[i + j]);
    flat = flat * extent + (found ? found->flat : parts[i]);
    i += n;
  }
  return Halide::Internal::simplify(flat);
}

Index Lowering::unflatten(const Shape& shape, const Expr& flat) {
  Index index(shape.size(), Expr(0));
  const Shape extents = without_ones(shape);
  for (const Unflattened& u : unflattened_) {
    if (u.shape != extents || !same(u.flat, flat)) continue;
    for (size_t i = 0, j = 0; i < shape.size(); ++i)
      if (shape[i] != 1) index[i] = u.index[j++];
    return index;
  }
  Expr rest = flat;
  for (size_t i = shape.size(); i-- > 0;) {
    const int extent = static_cast<int>(shape[i]);
    if (extent == 1) continue;
    const bool outermost = std::all_of(shape.begin(), shape.begin() + i, [](int64_t e) { return e == 1; });
    index[i] = Halide::Internal::simplify(outermost ? rest : rest % extent);
    rest = rest / extent;
  }
  remember(shape, index, flat);
  return index;
}

void Lowering::remember(const Shape& shape, const Index& index, const Expr& flat) {
  Unflattened record{without_ones(shape), {}, flat};
  for (size_t i = 0; i < shape.size(); ++i)
    if (shape[i] != 1) record.index.push_back(index[i]);
  if (record.shape.size() > 1) unflattened_.push_back(std::move(record));
}

Index Lowering::reshape(const Shape& shape, const Shape& other, const Index& index) {
  Index result(other.size(), Expr(0));
  size_t i = 0, j = 0;
  while (true) {
    while (i < shape.size() && shape[i] == 1) ++i;
    while (j < other.size() && other[j] == 1) ++j;
    if (i == shape.size() || j == other.size()) break;
    // The shortest run of axes with equal sizes on both sides.
    const size_t first_i = i, first_j = j;
    int64_t a = shape[i++], b = other[j++];
    while (a != b) {
      if (a < b)
        a *= shape[i++];
      else
        b *= other[j++];
    }
    const Shape from(shape.begin() + first_i, shape.begin() + i),
        to(other.begin() + first_j, other.begin() + j);
    const Index part(index.begin() + first_i, index.begin() + i);
    const auto through_flat = [&] {
      const Expr flat = flatten(from, part);
      remember(from, part, flat);
      return unflatten(to, flat);
    };
    const Index mapped = from == to ? part : through_flat();
    std::copy(mapped.begin(), mapped.end(), result.begin() + first_j);
  }
  return result;
}

Lowering::Lowering(const Graph& body, std::string name, bool accurate)
    : body_(body), name_(std::move(name)), accurate_(accurate) {
  for (size_t i = 0; i < body.arguments.size(); ++i) {
    const TensorType& type = body.type(body.arguments[i].value);
    NNCC_CHECK(type.num_elements() < (int64_t{1} << 31), "a tensor of 2^31 elements or more in a kernel");
    Halide::ImageParam input(storage_type(type.dtype), 1, "in" + std::to_string(i));
    input.dim(0).set_bounds(0, static_cast<int>(type.num_elements())).set_stride(1);
    inputs_.push_back(input);
  }
}

std::vector<Halide::Argument> Lowering::arguments() const { return {inputs_.begin(), inputs_.end()}; }

void Lowering::provide(Value v, Access access) {
  provided_[v] = std::move(access);
  memo_.clear();
}

Expr to_storage(const Expr& e, DType dtype) {
  if (dtype == DType::F16 || dtype == DType::BF16) return round_to_half(e, storage_type(dtype));
  return cast(storage_type(dtype), e);
}

Expr Lowering::stored_at(Value v, const Index& index) {
  return to_storage(at(v, index), body_.type(v).dtype);
}

Expr Lowering::at(Value v, const Index& index) {
  const Shape& shape = body_.type(v).shape;
  const bool flat = index.size() == 1 && shape.size() != 1;
  NNCC_CHECK(flat || index.size() == shape.size(), "index of another rank than the value");
  auto& known = memo_[v];
  for (const auto& [i, e] : known) {
    if (std::equal(i.begin(), i.end(), index.begin(), index.end(), same)) return e;
  }
  Expr result;
  const Node& node = body_[v.node];
  const auto full_index = [&] { return flat ? unflatten(shape, index[0]) : index; };
  if (auto provided = provided_.find(v); provided != provided_.end()) {
    result = provided->second(full_index());
  } else if (op_info(node.op).has(Reduction) || op_info(node.op).has(Contraction) ||
             (op_info(node.op).has(Window) && !is_small_window(body_, v.node))) {
    NNCC_CHECK(fallback_ != nullptr, "a reduction inside a kernel has no schedule");
    return fallback_(v)(full_index());  // the answer may differ next time
  } else {
    result = lower(*this, v, index);
  }
  // Two indices in turn are usual (a row and its transpose), and as many as a window has taps; more would
  // only make the search long.
  auto& entries = memo_[v];
  if (entries.size() >= 32) entries.erase(entries.begin());
  entries.emplace_back(index, result);
  return result;
}

std::optional<double> constant_value(const Graph& body, Value v) {
  while (body[v.node].op == Op::Broadcast || body[v.node].op == Op::Reshape) v = body[v.node].operands[0];
  const Node& node = body[v.node];
  if (node.op != Op::Constant) return std::nullopt;
  const Literal& literal = node.attributes.literal(Attr::Value);
  if (!literal.is_splat() && literal.num_elements() != 1) return std::nullopt;
  return literal.real(0);
}

}  // namespace nncc
