// Types: extents that bind and must match, and values made to fit.
#include <algorithm>

#include "frontend/tracer.h"

namespace nncc {

namespace {

std::string source_text(SourceRange range) {
  return range.file->text.substr(range.begin, range.end - range.begin);
}

// Where the spread of a type stands, or -1.
int spread_position(const ast::TypeExpr& type) {
  for (size_t i = 0; i < type.dims.size(); ++i)
    if (type.dims[i].kind == ast::Dim::Kind::Spread) return static_cast<int>(i);
  return -1;
}

bool is_one_spread(const ast::TypeExpr& type) { return type.dims.size() == 1 && spread_position(type) == 0; }

// The name an extent binds, or null for an expression.
const std::string* extent_name(const ast::Dim& dim) {
  if (dim.kind != ast::Dim::Kind::Extent) return nullptr;
  const auto* name = std::get_if<ast::NameRef>(&dim.extent->node);
  return name ? &name->name : nullptr;
}

}  // namespace

DType Tracer::element_type(DType dtype) const { return dtype == DType::F32 ? float_type_ : dtype; }

TensorType Tracer::eval_type(const ast::TypeExpr& type) {
  switch (type.kind) {
    case ast::TypeExpr::Kind::Bool:
      return {DType::Bool, {}};
    case ast::TypeExpr::Kind::Like: {
      const AbstractValue v = eval_single(*type.like);
      if (v.is_tensor()) return v.tensor().type;
      if (v.is_type()) return v.type();
      if (!v.is_scalar_constant()) fail(type.range, "`like` takes a tensor, found " + v.describe());
      return {v.is_bool() ? DType::Bool : v.is_int() ? DType::I32 : float_type_, {}};
    }
    case ast::TypeExpr::Kind::Tensor:
      break;
    default:
      fail(type.range, "expected the type of a tensor, found `" + source_text(type.range) + "`");
  }
  Shape shape;
  for (const ast::Dim& dim : type.dims) {
    if (dim.kind == ast::Dim::Kind::Extent) {
      const int64_t extent = eval_int(*dim.extent, "an extent");
      if (extent < 1) fail(dim.range, "the extent is " + std::to_string(extent) + "; extents are at least 1");
      shape.push_back(extent);
      continue;
    }
    if (!dim.name) fail(dim.range, "`..` without a name stands in the types of parameters alone");
    const auto extents = as_integers(eval_name(dim.name->text, dim.name->range));
    if (!extents) fail(dim.range, "`" + dim.name->text + "` is not a list of extents");
    shape.insert(shape.end(), extents->begin(), extents->end());
  }
  at(type.range, [&] { check_shape(shape); });
  return {element_type(type.dtype), shape};
}

void Tracer::bind_extent(const std::string& name, int64_t extent, SourceRange origin, const ast::Dim& dim,
                         const std::string& what) {
  const auto mismatch = [&](int64_t expected, SourceRange place, const std::string& text) {
    auto handle = report(origin, what + " has extent " + std::to_string(extent) + " where `" + name +
                                     "` is " + std::to_string(expected));
    handle.note(place, text);
    if (!dim.range.file->is_library || !place) handle.note(dim.range, "it has to match here");
    throw Abort{};
  };
  if (const auto it = frame_->names.find(name); it != frame_->names.end()) {
    const AbstractValue& bound = it->second.value;
    if (bound.is_poison()) throw Abort{};
    if (!bound.is_int()) fail(dim.range, "the extent `" + name + "` is " + bound.describe() + ", not an int");
    if (bound.integer() != extent)
      mismatch(bound.integer(), it->second.origin,
               "`" + name + "` is " + std::to_string(bound.integer()) + " here");
    return;
  }
  if (const Symbol* s = symbols_.find(frame_->file(), name); s && s->kind == SymbolKind::Const) {
    const AbstractValue value = constant_value(*s);
    if (value.is_int() && value.integer() != extent)
      mismatch(value.integer(), s->name_range(), "the const `" + name + "` is defined here");
    if (value.is_int()) return;
  }
  frame_->names[name] = {extent, origin, {}};
}

void Tracer::bind_type(const ast::TypeExpr& type, const TensorType& found, SourceRange origin,
                       const std::string& what) {
  const int spread = spread_position(type);
  const int named = static_cast<int>(type.dims.size()) - (spread >= 0 ? 1 : 0);
  if (spread < 0 ? found.rank() != named : found.rank() < named) {
    auto handle = report(origin, what + " is " + source_text(type.range) + ", found " + found.str());
    handle.note(type.range, "it is declared here");
    throw Abort{};
  }
  for (size_t i = 0, axis = 0; i < type.dims.size(); ++i) {
    const ast::Dim& dim = type.dims[i];
    if (dim.kind == ast::Dim::Kind::Extent) {
      if (const std::string* name = extent_name(dim))
        bind_extent(*name, found.shape[axis], origin, dim, what);
      ++axis;
      continue;
    }
    if (static_cast<int>(i) != spread) fail(dim.range, "one `..` at most in a type");
    const auto begin = found.shape.begin() + static_cast<std::ptrdiff_t>(axis);
    const Shape extents(begin, begin + (found.rank() - named));
    axis += extents.size();
    if (!dim.name) continue;
    const auto [it, is_new] =
        frame_->names.try_emplace(dim.name->text, Binding{AbstractValue::integers(extents), origin, {}});
    if (is_new || it->second.value == AbstractValue::integers(extents)) continue;
    if (it->second.value.is_poison()) throw Abort{};
    auto handle = report(origin, what + " has the extents " + shape_text(extents) + " where `.." +
                                     dim.name->text + "` is " + it->second.value.text());
    handle.note(it->second.origin, "`.." + dim.name->text + "` is " + it->second.value.text() + " here");
    throw Abort{};
  }
}

void Tracer::check_computed_extents(const ast::TypeExpr& type, const TensorType& found, SourceRange origin,
                                    const std::string& what) {
  const int spread = spread_position(type);
  const int count = static_cast<int>(type.dims.size());
  for (int i = 0; i < count; ++i) {
    const ast::Dim& dim = type.dims[i];
    if (dim.kind != ast::Dim::Kind::Extent || extent_name(dim)) continue;
    const int axis = spread >= 0 && i > spread ? found.rank() - (count - i) : i;
    const int64_t expected = eval_int(*dim.extent, "an extent");
    if (expected == found.shape[axis]) continue;
    const bool literal = std::holds_alternative<ast::IntLiteral>(dim.extent->node);
    const std::string wanted = literal ? "" : "`" + source_text(dim.range) + "` is ";
    auto handle = report(origin, what + " has extent " + std::to_string(found.shape[axis]) + " where " +
                                     wanted + std::to_string(expected) + (literal ? " is declared" : ""));
    handle.note(dim.range, "the extent is declared here");
    throw Abort{};
  }
}

AbstractValue Tracer::coerce(const ast::TypeExpr& type, AbstractValue v, SourceRange origin,
                             const std::string& what, SourceRange declared) {
  using Kind = ast::TypeExpr::Kind;
  const auto mismatch = [&](const std::string& wanted) {
    auto handle = report(origin, what + " is " + wanted + ", found " + v.describe());
    if (declared) handle.note(declared, "it is declared here");
    throw Abort{};
  };
  switch (type.kind) {
    case Kind::Int:
      if (!v.is_int()) mismatch("a constant int");
      return v;
    case Kind::Float:
      if (!v.is_number()) mismatch("a constant float");
      return v.real();
    case Kind::String:
      if (!v.is_string()) mismatch("a string");
      return v;
    case Kind::Function:
      if (!v.is_function()) mismatch("a function");
      return v;
    case Kind::List: {
      if (!v.is_list()) mismatch("a list");
      std::vector<AbstractValue> elements;
      for (const AbstractValue& e : v.elements())
        elements.push_back(coerce(*type.element, e, origin, "each element of " + what, declared));
      return AbstractValue::list(std::move(elements));
    }
    case Kind::Bool:
      if (!v.is_bool() && !(v.is_tensor() && v.tensor().type == TensorType{DType::Bool, {}}))
        mismatch("a bool");
      return v;
    case Kind::Like: {
      const TensorType wanted = eval_type(type);
      if (v.is_tensor() ? v.tensor().type != wanted : !v.is_scalar_constant() || wanted.rank() != 0)
        mismatch(wanted.str());
      return v;
    }
    case Kind::Tensor:
      break;
  }
  const DType dtype = element_type(type.dtype);
  if (v.is_tensor()) {
    if (v.tensor().type.dtype != dtype) mismatch(source_text(type.range));
    bind_type(type, v.tensor().type, origin, what);
    return v;
  }
  // A constant stays one; it is a scalar, or repeats as anything broadcasts.
  const bool fits = v.is_bool()    ? dtype == DType::Bool
                    : v.is_float() ? is_float(dtype)
                                   : v.is_int() && dtype != DType::Bool;
  if (!fits || !(type.dims.empty() || is_one_spread(type))) mismatch(source_text(type.range));
  if (is_one_spread(type) && type.dims[0].name)
    frame_->names.try_emplace(type.dims[0].name->text, Binding{AbstractValue::integers({}), origin, {}});
  return is_float(dtype) ? AbstractValue(v.real()) : v;
}

TensorValue Tracer::coerce_exact(const AbstractValue& v, const TensorType& type, SourceRange range,
                                 const std::string& what, SourceRange declared) {
  if (!v.is_tensor() && !v.is_scalar_constant())
    fail(range, what + " is " + type.str() + ", found " + v.describe());
  const TensorValue t =
      v.is_tensor() ? v.tensor() : at(range, [&] { return make_splat(*context_, v, type); });
  if (t.type == type) return t;
  auto handle = report(range, what + " is " + type.str() + ", found " + t.type.str());
  if (declared) handle.note(declared, "it is declared here");
  throw Abort{};
}

}  // namespace nncc
