#include <arrow/buffer.h>
#include <arrow/c/bridge.h>
#include <arrow/compute/expression.h>
#include <arrow/record_batch.h>
#include <arrow/table.h>
#include <arrow/type.h>
#include <headrace/dataset.h>
#include <headrace/scan_ranges.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bind.h"
#include "errors.h"

namespace nb = nanobind;

namespace headrace::ext {
namespace {

/// ("error" | "fill" | "mask", fill value or None).
using PyNulls = std::map<std::string, std::tuple<std::string, nb::object>>;
/// ("error" | "pad" | "ragged" | "sparse", pad value or None, length or None).
using PyRagged =
    std::map<std::string, std::tuple<std::string, nb::object, std::optional<int64_t>>>;
/// Vocabularies: str or bytes.
using PyCodes = std::map<std::string, std::optional<std::vector<nb::object>>>;
/// (start, end, column).
using PyRange = std::optional<std::tuple<Moment, Moment, std::optional<std::string>>>;
/// (mean, standard deviation).
using PyStandardize = std::map<std::string, std::tuple<double, double>>;

std::string Text(nb::handle value) {
  if (PyBytes_Check(value.ptr())) {
    return {PyBytes_AS_STRING(value.ptr()),
            static_cast<size_t>(PyBytes_GET_SIZE(value.ptr()))};
  }
  return nb::cast<std::string>(value);
}

Number ToNumber(nb::handle value, const std::string& column) {
  Number number;
  if (PyFloat_Check(value.ptr())) {
    number.is_integer = false;
    number.real = PyFloat_AS_DOUBLE(value.ptr());
    return number;
  }
  number.integer = PyLong_AsLongLong(value.ptr());
  if (number.integer == -1 && PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    Raise(Error(ErrorKind::kInvalidArgument, "column '" + column + "': the value " +
                                                 nb::cast<std::string>(nb::str(value)) +
                                                 " does not fit in 64 bits"));
  }
  return number;
}

std::map<std::string, NullPolicy> NullPolicies(const PyNulls& given) {
  std::map<std::string, NullPolicy> policies;
  for (const auto& [column, choice] : given) {
    const auto& [kind, value] = choice;
    NullPolicy policy;
    if (kind == "mask") policy.kind = NullPolicy::Kind::kMask;
    if (kind == "fill") {
      policy.kind = NullPolicy::Kind::kFill;
      if (PyUnicode_Check(value.ptr()) || PyBytes_Check(value.ptr())) {
        policy.fill_text = Text(value);
      } else {
        policy.fill = ToNumber(value, column);
      }
    }
    policies.emplace(column, std::move(policy));
  }
  return policies;
}

std::map<std::string, RaggedPolicy> RaggedPolicies(const PyRagged& given) {
  std::map<std::string, RaggedPolicy> policies;
  for (const auto& [column, choice] : given) {
    const auto& [kind, value, length] = choice;
    RaggedPolicy policy;
    if (kind == "ragged") policy.kind = RaggedPolicy::Kind::kRagged;
    if (kind == "sparse") policy.kind = RaggedPolicy::Kind::kSparse;
    if (kind == "pad") {
      policy.kind = RaggedPolicy::Kind::kPad;
      policy.pad = ToNumber(value, column);
      policy.length = length;
    }
    policies.emplace(column, policy);
  }
  return policies;
}

std::map<std::string, CodesPolicy> CodesPolicies(const PyCodes& given) {
  std::map<std::string, CodesPolicy> policies;
  for (const auto& [column, vocabulary] : given) {
    CodesPolicy policy;
    if (vocabulary) {
      policy.vocabulary.emplace();
      for (const nb::object& value : *vocabulary)
        policy.vocabulary->push_back(Text(value));
    }
    policies.emplace(column, std::move(policy));
  }
  return policies;
}

Dataset Open(const std::vector<std::string>& uris,
             const std::map<std::string, std::string>& storage_options,
             const std::map<std::string, std::string>& partition_types,
             const std::optional<Schema>& schema, std::optional<int64_t> version,
             const std::string& as_of, const std::string& actions,
             const std::string& cache_folder, const std::string& catalog,
             const std::string& where, const PyRange& between) {
  OpenOptions options;
  options.where = where;
  if (between) {
    const auto& [start, end, column] = *between;
    options.between = TimeRange{start, end, column};
  }
  options.version = version;
  options.as_of = as_of;
  options.actions = actions;
  options.catalog = catalog;
  options.schema = schema;
  options.storage_options = storage_options;
  options.partition_types = partition_types;
  options.cache_folder = cache_folder;
  return Released([&] { return Dataset::Open(uris, options); });
}

Dataset WhereSerialized(const Dataset& dataset, const nb::bytes& expression) {
  auto buffer = std::make_shared<arrow::Buffer>(
      reinterpret_cast<const uint8_t*>(expression.c_str()),
      static_cast<int64_t>(expression.size()));
  return Released([&]() -> Result<Dataset> {
    ARROW_ASSIGN_OR_RAISE(auto parsed, arrow::compute::Deserialize(buffer));
    return dataset.Where(parsed);
  });
}

/// A scan that raises our errors, which an exported stream cannot.
std::vector<std::pair<int64_t, int64_t>> Ranges(const Dataset& dataset, int64_t count) {
  std::vector<std::pair<int64_t, int64_t>> ranges;
  for (const ScanRange& range : Released([&] { return ScanRanges(dataset, count); })) {
    ranges.emplace_back(range.first, range.end);
  }
  return ranges;
}

struct ScanBatches {
  std::shared_ptr<arrow::RecordBatchReader> reader;

  std::optional<ArrowColumn> Next() {
    auto rows = Released([&]() -> Result<std::shared_ptr<arrow::Array>> {
      std::shared_ptr<arrow::RecordBatch> batch;
      ARROW_RETURN_NOT_OK(reader->ReadNext(&batch));
      if (batch == nullptr) return std::shared_ptr<arrow::Array>();
      return batch->ToStructArray();
    });
    if (rows == nullptr) return std::nullopt;
    return ArrowColumn{std::move(rows)};
  }
};

ScanBatches Take(const Dataset& dataset, const nb::bytes& row_ids) {
  std::vector<int64_t> ids(row_ids.size() / sizeof(int64_t));
  std::memcpy(ids.data(), row_ids.c_str(), ids.size() * sizeof(int64_t));
  auto table = Released([&] { return dataset.Take(ids); });
  return {std::make_shared<arrow::TableBatchReader>(std::move(table))};
}

nb::object ExportStream(const Dataset& dataset, const nb::object& requested_schema) {
  // A consumer that asks for another schema casts what it gets: the protocol allows it.
  (void)requested_schema;
  auto reader = Released([&] { return dataset.ToReader(); });
  auto stream = std::make_unique<ArrowArrayStream>();
  Check(arrow::ExportRecordBatchReader(std::move(reader), stream.get()));
  return nb::steal(
      PyCapsule_New(stream.release(), "arrow_array_stream", [](PyObject* capsule) {
        auto* held = static_cast<ArrowArrayStream*>(
            PyCapsule_GetPointer(capsule, "arrow_array_stream"));
        if (held->release != nullptr) {
          const WithoutGil released;  // ends a read that is under way
          held->release(held);
        }
        delete held;
      }));
}

}  // namespace

nb::object ExportedSchema(const arrow::Schema& schema) {
  auto exported = std::make_unique<ArrowSchema>();
  Check(arrow::ExportSchema(schema, exported.get()));
  return nb::steal(
      PyCapsule_New(exported.release(), "arrow_schema", [](PyObject* capsule) {
        auto* held =
            static_cast<ArrowSchema*>(PyCapsule_GetPointer(capsule, "arrow_schema"));
        if (held->release != nullptr) held->release(held);
        delete held;
      }));
}

void BindDataset(nb::module_& m) {
  nb::class_<ScanSummary>(m, "ScanSummary", "What a scan will touch.")
      .def("to_json", &ScanSummary::ToJson)
      .def("__str__", &ScanSummary::ToString);

  nb::class_<ScanBatches>(m, "ScanBatches",
                          "A scan, batch by batch; one thread at a time.")
      .def("__arrow_c_schema__",
           [](const ScanBatches& scan) { return ExportedSchema(*scan.reader->schema()); })
      .def("next", &ScanBatches::Next, "Rows as structs, or None at the end.");

  nb::class_<Dataset>(m, "Dataset", "headrace::Dataset.")
      .def_static("open", &Open, nb::arg("uris"), nb::arg("storage_options"),
                  nb::arg("partition_types"), nb::arg("schema").none(),
                  nb::arg("version").none(), nb::arg("as_of"), nb::arg("actions"),
                  nb::arg("cache_folder"), nb::arg("catalog") = "", nb::arg("where") = "",
                  nb::arg("between") = nb::none())
      .def_static(
          "from_json",
          [](const std::string& json) {
            return Released([&] { return Dataset::FromJson(json); });
          },
          nb::arg("json"))
      .def(
          "select",
          [](const Dataset& dataset, const std::vector<std::string>& columns,
             bool row_id) { return Unwrap(dataset.Select(columns, row_id)); },
          nb::arg("columns"), nb::arg("row_id") = false)
      .def(
          "where",
          [](const Dataset& dataset, const std::string& filter) {
            return Released([&] { return dataset.Where(filter); });
          },
          nb::arg("filter"))
      .def(
          "between",
          [](const Dataset& dataset, const Moment& start, const Moment& end,
             const std::optional<std::string>& column) {
            return Released([&] { return dataset.Between(start, end, column); });
          },
          nb::arg("start"), nb::arg("end"), nb::arg("column").none())
      .def("where_serialized", &WhereSerialized, nb::arg("expression"))
      .def(
          "cast",
          [](const Dataset& dataset, const std::map<std::string, std::string>& types) {
            return Unwrap(dataset.Cast(types));
          },
          nb::arg("types"))
      .def(
          "nulls",
          [](const Dataset& dataset, const PyNulls& policies) {
            return Unwrap(dataset.Nulls(NullPolicies(policies)));
          },
          nb::arg("policies"))
      .def(
          "ragged",
          [](const Dataset& dataset, const PyRagged& policies) {
            return Unwrap(dataset.Ragged(RaggedPolicies(policies)));
          },
          nb::arg("policies"))
      .def(
          "codes",
          [](const Dataset& dataset, const PyCodes& policies) {
            auto bound = CodesPolicies(policies);
            return Released([&] { return dataset.Codes(bound); });
          },
          nb::arg("policies"))
      .def(
          "one_hot",
          [](const Dataset& dataset, const PyCodes& policies) {
            auto bound = CodesPolicies(policies);
            return Released([&] { return dataset.OneHot(bound); });
          },
          nb::arg("policies"))
      .def(
          "standardize",
          [](const Dataset& dataset, const PyStandardize& policies) {
            std::map<std::string, StandardizePolicy> bound;
            for (const auto& [column, by] : policies) {
              bound[column] = {std::get<0>(by), std::get<1>(by)};
            }
            return Unwrap(dataset.Standardize(bound));
          },
          nb::arg("policies"))
      .def(
          "map",
          [](const Dataset& dataset, const std::map<std::string, std::string>& ops) {
            std::map<std::string, ImageOps> maps;
            for (const auto& [column, json] : ops) {
              maps[column] = Unwrap(ImageOpsFromJson(json));
            }
            return Unwrap(dataset.Map(maps));
          },
          nb::arg("ops"))
      .def(
          "pack",
          [](const Dataset& dataset, const std::string& name,
             const std::vector<std::string>& columns) {
            return Unwrap(dataset.Pack(name, columns));
          },
          nb::arg("name"), nb::arg("columns"))
      .def(
          "on_error",
          [](const Dataset& dataset, const std::string& policy) {
            const auto known = std::array{std::pair{"raise", ErrorPolicy::kRaise},
                                          std::pair{"skip", ErrorPolicy::kSkip},
                                          std::pair{"null", ErrorPolicy::kNull}};
            const auto* found = std::ranges::find(
                known, policy, [](const auto& named) { return named.first; });
            if (found == known.end()) {
              Raise(Error(ErrorKind::kInvalidArgument,
                          "on_error is \"" + policy +
                              "\": expected \"raise\", \"skip\" or \"null\""));
            }
            return Unwrap(dataset.OnError(found->second));
          },
          nb::arg("policy"))
      .def(
          "split",
          [](const Dataset& dataset, const std::vector<Dataset::NamedFraction>& fractions,
             const std::optional<std::string>& by,
             uint64_t seed) { return Unwrap(dataset.Split(fractions, by, seed)); },
          nb::arg("fractions"), nb::arg("by").none(), nb::arg("seed"))
      .def("take", &Take, nb::arg("row_ids"), "The rows of ids, int64 in native order.")
      .def("scan_ranges", &Ranges, nb::arg("count"),
           "Parts of a scan: (first, end) row ids.")
      .def("count_rows",
           [](const Dataset& dataset) {
             return Released([&] { return dataset.CountRows(); });
           })
      .def("explain",
           [](const Dataset& dataset) {
             return Released([&] { return dataset.Explain(); });
           })
      .def(
          "scan",
          [](const Dataset& dataset, bool decode) {
            return ScanBatches{Released([&] { return dataset.ToReader(decode); })};
          },
          nb::arg("decode"))
      .def_prop_ro("version", &Dataset::version)
      .def_prop_ro("fingerprint", &Dataset::fingerprint)
      .def("to_json", &Dataset::ToJson)
      .def("__str__", &Dataset::ToString)
      .def("__arrow_c_schema__",
           [](const Dataset& dataset) { return ExportedSchema(*dataset.schema()); })
      .def("__arrow_c_stream__", &ExportStream, nb::arg("requested_schema") = nb::none());
}

}  // namespace headrace::ext
