/// \file
/// Which accelerators a machine has, and whose each of them is.
#pragma once

#include <headrace/result.h>

#include <string>
#include <vector>

namespace headrace {

/// Accelerators of one kind. The JSON is the contract of Spark's discovery scripts:
/// {"name": "gpu", "addresses": ["0", "1"]}.
struct Accelerators {
  std::string name = "gpu";
  std::vector<std::string> addresses = {};

  std::string ToJson() const;
  /// InvalidArgument, saying what was found, for anything else than such an object.
  static Result<Accelerators> FromJson(const std::string& text);

  bool operator==(const Accelerators&) const = default;
};

/// Where to look.
struct DiscoverOptions {
  std::string name = "gpu";
  /// A program, run without a shell and without arguments, that prints the JSON. Empty:
  /// for "gpu" the tools of NVIDIA (nvidia-smi) and of AMD (amd-smi, rocm-smi), as far as
  /// they are on PATH.
  std::string command = {};
  /// Addresses that are left, as in CUDA_VISIBLE_DEVICES: "0,2". "all": every one that
  /// is found; "", none.
  std::string visible = "all";
};

/// Runs the tools. A machine without accelerators, or without the tools, has none, which
/// is no error. Errors: NotFound for a command that is not there; Unavailable, with what
/// it printed, for one that fails or takes more than 30 s; InvalidArgument for output
/// that is not the JSON, or has another name. May be called from any thread.
Result<Accelerators> Discover(const DiscoverOptions& options = {});

/// The addresses of each of `tasks` tasks that ask for `per_task` each: a whole number of
/// addresses of their own, or a fraction up to 0.5 of one that they share. Errors:
/// InvalidArgument for other fractions; ResourceExhausted, saying what was found, where
/// there are too few.
Result<std::vector<std::vector<std::string>>> Share(const Accelerators& found, int tasks,
                                                    double per_task);

}  // namespace headrace
