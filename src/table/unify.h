/// \file
/// One schema for files that differ.
#pragma once

#include <arrow/type.h>
#include <headrace/result.h>

#include <memory>
#include <string>

namespace headrace::table {

/// The type that holds the values of both without loss: the same, the wider of two
/// integers of one signedness, a strictly wider signed one for an unsigned, the wider
/// float, the wider decimal, large for plain strings and lists, the plain type for a
/// dictionary, anything for null. Null where there is none.
std::shared_ptr<arrow::DataType> CommonType(const std::shared_ptr<arrow::DataType>& a,
                                            const std::shared_ptr<arrow::DataType>& b);

/// `unified` widened to take a file's columns: columns that either lacks become nullable,
/// new ones go to the end. SchemaMismatch naming `display_path`, the column and both
/// types.
Result<std::shared_ptr<arrow::Schema>> UnifySchemas(const arrow::Schema& unified,
                                                    const arrow::Schema& file,
                                                    const std::string& display_path);

}  // namespace headrace::table
