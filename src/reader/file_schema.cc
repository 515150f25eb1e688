#include "reader/file_schema.h"

#include <arrow/util/key_value_metadata.h>

#include <string>

namespace headrace::reader {
namespace {

bool IsField(const arrow::Field& field, const table::FileField& wanted) {
  if (!wanted.id) return field.name() == wanted.name;
  return field.metadata() != nullptr &&
         field.metadata()->Get("PARQUET:field_id").ValueOr("") ==
             std::to_string(*wanted.id);
}

}  // namespace

int IndexOf(const arrow::FieldVector& fields, const table::FileField& wanted) {
  int found = -1;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (IsField(*fields[i], wanted)) found = static_cast<int>(i);
  }
  return found;
}

void CollectLeaves(const parquet::arrow::SchemaField& field, std::vector<int>* leaves) {
  if (field.is_leaf()) leaves->push_back(field.column_index);
  for (const auto& child : field.children) CollectLeaves(child, leaves);
}

const parquet::arrow::SchemaField* FindField(
    const std::vector<parquet::arrow::SchemaField>& fields,
    const std::vector<table::FileField>& path) {
  const auto* level = &fields;
  const parquet::arrow::SchemaField* found = nullptr;
  for (size_t i = 0; i < path.size(); ++i) {
    if (i > 0 && found->field->type()->id() != arrow::Type::STRUCT) return nullptr;
    found = nullptr;
    for (const auto& field : *level) {
      if (IsField(*field.field, path[i])) found = &field;
    }
    if (found == nullptr) return nullptr;
    level = &found->children;
  }
  return found;
}

}  // namespace headrace::reader
