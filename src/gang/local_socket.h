/// \file
/// Sockets of this machine: the launcher's, in Linux' abstract namespace, so that no file
/// is left by whatever death; and ports that are free.
#pragma once

#include <headrace/result.h>

#include <cstdint>
#include <string>
#include <vector>

#include "gang/descriptor.h"

namespace headrace::gang {

/// A listening, non-blocking socket by a name that nobody else has.
Result<Descriptor> ListenLocal(const std::string& name);
/// Errors: PeerFailed if nobody listens.
Result<Descriptor> ConnectLocal(const std::string& name);

/// Ports of 127.0.0.1 that nobody listens at now.
Result<std::vector<uint16_t>> FreePorts(size_t count);

/// Without a hint, by its time, of where they differ.
bool SecretsEqual(const std::string& a, const std::string& b);

}  // namespace headrace::gang
