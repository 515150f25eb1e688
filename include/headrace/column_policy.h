/// \file
/// What a sample is made of, column by column: how nulls, lists of unequal length and
/// strings become tensors. Values: copy, compare, print, to and from JSON.
#pragma once

#include <arrow/type_fwd.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace headrace {

/// A number given by a user: a fill or pad value. Checked against the column's type when
/// bound.
struct Number {
  /// Exactly one of the two is used: integers keep all 64 bits.
  bool is_integer = true;
  int64_t integer = 0;
  double real = 0;

  bool operator==(const Number&) const = default;
};

/// What becomes of nulls in a column.
struct NullPolicy {
  enum class Kind {
    kError,  ///< A null is an error that names column and row (default).
    kFill,   ///< Nulls become `fill`.
    kMask,   ///< Nulls become 0, and a boolean `<name>_mask` is true where the value is
             ///< there.
  };
  Kind kind = Kind::kError;
  /// Numeric columns: the value put for a null. Strings: `fill_text`.
  Number fill = {};
  std::optional<std::string> fill_text = {};

  bool operator==(const NullPolicy&) const = default;
};

/// What becomes of a column whose lists, vectors or tensors differ in length.
struct RaggedPolicy {
  enum class Kind {
    kError,   ///< Unequal lengths are an error that names the first two (default).
    kPad,     ///< Padded with `pad` to the longest of the batch, or to `length`.
    kRagged,  ///< Values one after the other in `<name>`, and int64 `<name>_offsets`.
    kSparse,  ///< Spark ML vectors: what is not 0 in `<name>_indices` (int32) and
              ///< `<name>_values`, int64 `<name>_offsets`, and int32 `<name>_size`.
  };
  Kind kind = Kind::kError;
  Number pad = {};
  /// kPad: a fixed length; longer lists are an error. Absent: the longest of the batch.
  std::optional<int64_t> length = {};

  bool operator==(const RaggedPolicy&) const = default;
};

/// Strings or bytes as int32 codes: the index in the vocabulary. A value outside of it is
/// an error that names the value.
struct CodesPolicy {
  /// Absent: the version's sorted distinct values (bytewise), found by a scan.
  std::optional<std::vector<std::string>> vocabulary = {};

  bool operator==(const CodesPolicy&) const = default;
};

/// Numbers as (x - mean) / std, in float64, rounded once: to float32, or to the floating
/// dtype that the column is cast to. Nulls are filled in the column's own units before; a
/// masked null is 0 after.
struct StandardizePolicy {
  double mean = 0;
  /// A column of one value has 0: it is only shifted.
  double std = 1;

  bool operator==(const StandardizePolicy&) const = default;
};

/// What becomes of bad rows: rows with a damaged page, or a value that breaks its
/// column's policies (a null under NullPolicy::kError, a list that is too long, a value
/// outside of a vocabulary or of a cast's type). A damaged column of the filter is always
/// an error.
enum class ErrorPolicy {
  kRaise,  ///< The first bad row is an error (default).
  kSkip,   ///< Bad rows are left out: the batch gets shorter, and no later row moves.
  kNull,   ///< Bad values become nulls, and those what the column's NullPolicy says.
};

/// Many scalar columns as one row-major (batch, columns) tensor.
struct PackSpec {
  std::string name;
  std::vector<std::string> columns;

  bool operator==(const PackSpec&) const = default;
};

}  // namespace headrace
