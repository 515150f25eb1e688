#include "reader/file_schema.h"

namespace headrace::reader {

void CollectLeaves(const parquet::arrow::SchemaField& field, std::vector<int>* leaves) {
  if (field.is_leaf()) leaves->push_back(field.column_index);
  for (const auto& child : field.children) CollectLeaves(child, leaves);
}

const parquet::arrow::SchemaField* FindField(
    const std::vector<parquet::arrow::SchemaField>& fields,
    const std::vector<std::string>& path) {
  const auto* level = &fields;
  const parquet::arrow::SchemaField* found = nullptr;
  for (size_t i = 0; i < path.size(); ++i) {
    if (i > 0 && found->field->type()->id() != arrow::Type::STRUCT) return nullptr;
    found = nullptr;
    for (const auto& field : *level) {
      if (field.field->name() == path[i]) found = &field;
    }
    if (found == nullptr) return nullptr;
    level = &found->children;
  }
  return found;
}

}  // namespace headrace::reader
