// What nearly every file of the library includes and is slow to parse.
#include <arrow/api.h>
#include <arrow/compute/api.h>
#include <arrow/compute/expression.h>
#include <arrow/filesystem/filesystem.h>
#include <parquet/file_reader.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>
