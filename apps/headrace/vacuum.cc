#include <headrace/versions.h>

#include <memory>

#include "command.h"
#include "terminal.h"

namespace headrace::cli {
namespace {

// "7d", "12h", "30m", "90s" in milliseconds.
Result<int64_t> ParseAge(const std::string& text) {
  constexpr std::pair<char, int64_t> kUnits[] = {
      {'d', 86'400'000}, {'h', 3'600'000}, {'m', 60'000}, {'s', 1'000}};
  int64_t number = 0;
  for (const auto& [unit, milliseconds] : kUnits) {
    if (text.size() < 2 || text.size() > 9 || text.back() != unit) continue;
    if (!CLI::detail::lexical_cast(text.substr(0, text.size() - 1), number)) break;
    if (number >= 0) return number * milliseconds;
  }
  return Error(
      ErrorKind::kInvalidArgument,
      "--older-than is \"" + text + "\", expected a time such as 7d, 12h or 30m");
}

}  // namespace

Action AddVacuum(CLI::App* app) {
  CLI::App* command = app->add_subcommand(
      "vacuum",
      "Find files that no version needs any more, and delete them with --delete");
  auto common = std::make_shared<CommonOptions>();
  auto age = std::make_shared<std::string>("7d");
  auto remove = std::make_shared<bool>(false);
  common->AddTo(command);
  command
      ->add_option("--older-than", *age,
                   "keep what versions of this age need, and files as young; writes that "
                   "take longer would lose files")
      ->type_name("AGE")
      ->capture_default_str();
  command->add_flag("--delete", *remove, "delete them; without it they are listed");
  command->footer(
      "Examples:\n"
      "  headrace vacuum lake/flights\n"
      "  headrace vacuum lake/flights --older-than 30d --delete\n\n"
      "Versions that need deleted files cannot be read any more.\n");
  return [common, age, remove]() -> Result<ExitCode> {
    ARROW_ASSIGN_OR_RAISE(const OpenOptions options, common->ToOpenOptions());
    ARROW_ASSIGN_OR_RAISE(const std::string uri, common->OneUri());
    ARROW_ASSIGN_OR_RAISE(const int64_t older_than_ms, ParseAge(*age));
    ARROW_ASSIGN_OR_RAISE(const VacuumReport report,
                          Vacuum(uri, older_than_ms, !*remove, options));
    Write(common->json ? report.ToJson() + "\n" : report.ToString());
    return kExitOk;
  };
}

}  // namespace headrace::cli
