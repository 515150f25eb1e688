#include "catalog/hive/partition_filter.h"

#include <arrow/api.h>
#include <arrow/compute/api.h>
#include <arrow/compute/expression.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "expression/filter.h"

namespace headrace::catalog {
namespace {

using arrow::compute::Expression;
using Keys = std::map<std::string, std::string>;
using Text = std::optional<std::string>;

const std::map<std::string, std::string>& Comparisons() {
  static const auto& names = *new std::map<std::string, std::string>{
      {"equal", "="},       {"not_equal", "!="}, {"less", "<"},
      {"less_equal", "<="}, {"greater", ">"},    {"greater_equal", ">="}};
  return names;
}

// The comparison with its sides exchanged.
std::string Mirrored(const std::string& comparison) {
  if (comparison.starts_with('<')) return ">" + comparison.substr(1);
  if (comparison.starts_with('>')) return "<" + comparison.substr(1);
  return comparison;
}

bool IsIntegral(const std::string& type) {
  return type == "tinyint" || type == "smallint" || type == "int" || type == "bigint";
}

bool IsDate(const std::string& text) {
  constexpr std::string_view kForm = "dddd-dd-dd";
  return std::ranges::equal(text, kForm, [](char c, char form) {
    return form == 'd' ? c >= '0' && c <= '9' : c == form;
  });
}

// The literal as the metastore parses it for a column of this type.
Text LiteralOf(const arrow::Scalar& value, const std::string& type) {
  if (!value.is_valid) return std::nullopt;
  const bool is_text = arrow::is_base_binary_like(value.type->id());
  if (IsIntegral(type) && arrow::is_integer(value.type->id())) return value.ToString();
  if (type == "date" && (is_text || value.type->id() == arrow::Type::DATE32)) {
    const std::string text = value.ToString();
    return IsDate(text) ? Text(text) : std::nullopt;
  }
  if (type != "string" || !is_text) return std::nullopt;
  const std::string text =
      static_cast<const arrow::BaseBinaryScalar&>(value).value->ToString();
  // Its parser takes quotes and escapes as they stand.
  if (text.find_first_of("\"'\\") != std::string::npos) return std::nullopt;
  return "\"" + text + "\"";
}

Text Compared(const Keys& keys, const Expression& column, const std::string& comparison,
              const Expression& other) {
  const arrow::FieldRef* reference = column.field_ref();
  const arrow::Datum* literal = other.literal();
  if (reference == nullptr || reference->name() == nullptr || literal == nullptr ||
      !literal->is_scalar()) {
    return std::nullopt;
  }
  // The metastore knows names in lower case only.
  std::string name = *reference->name();
  std::ranges::transform(name, name.begin(), [](unsigned char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : static_cast<char>(c);
  });
  const auto key = keys.find(name);
  if (key == keys.end()) return std::nullopt;
  const Text value = LiteralOf(*literal->scalar(), key->second);
  if (!value) return std::nullopt;
  return name + " " + comparison + " " + *value;
}

Text IsIn(const Keys& keys, const Expression::Call& call) {
  const auto* options =
      dynamic_cast<const arrow::compute::SetLookupOptions*>(call.options.get());
  if (options == nullptr || !options->value_set.is_arraylike()) return std::nullopt;
  const arrow::Datum& set = options->value_set;
  const auto values = set.is_array()
                          ? std::make_shared<arrow::ChunkedArray>(set.make_array())
                          : set.chunked_array();
  std::string text;
  if (values->length() == 0) return std::nullopt;
  for (int64_t i = 0; i < values->length(); ++i) {
    auto scalar = values->GetScalar(i);
    if (!scalar.ok()) return std::nullopt;
    const Text one =
        Compared(keys, call.arguments[0], "=", arrow::compute::literal(*scalar));
    if (!one) return std::nullopt;
    text += (text.empty() ? "" : " or ") + *one;
  }
  return "(" + text + ")";
}

// Nothing where the metastore cannot be asked; of a conjunction, what it can be asked.
Text Translate(const Keys& keys, const Expression& expression) {
  const Expression::Call* call = expression.call();
  if (call == nullptr) return std::nullopt;
  const std::string& name = call->function_name;
  if (name == "and_kleene" || name == "and") {
    const Text left = Translate(keys, call->arguments[0]);
    const Text right = Translate(keys, call->arguments[1]);
    if (left && right) return *left + " and " + *right;
    return left ? left : right;
  }
  if (name == "or_kleene" || name == "or") {
    const Text left = Translate(keys, call->arguments[0]);
    const Text right = Translate(keys, call->arguments[1]);
    if (left && right) return "((" + *left + ") or (" + *right + "))";
    return std::nullopt;
  }
  if (name == "is_in") return IsIn(keys, *call);
  const auto comparison = Comparisons().find(name);
  if (comparison == Comparisons().end() || call->arguments.size() != 2) {
    return std::nullopt;
  }
  Text text = Compared(keys, call->arguments[0], comparison->second, call->arguments[1]);
  if (text) return text;
  return Compared(keys, call->arguments[1], Mirrored(comparison->second),
                  call->arguments[0]);
}

}  // namespace

Result<std::string> PartitionFilter(std::string_view where, const Keys& keys) {
  if (where.empty()) return std::string();
  ARROW_ASSIGN_OR_RAISE(const Expression expression, expression::ParseFilter(where));
  return Translate(keys, expression).value_or("");
}

}  // namespace headrace::catalog
