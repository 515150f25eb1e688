/// \file
/// Who asks Azure's stores. Arrow finds the same credentials, and keeps them to itself.
#pragma once

#include <headrace/result.h>

#include "storage/http.h"
#include "storage/token.h"

namespace headrace::storage {

/// What Azure's tools find without being told, in their order: a service principal
/// (AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET), a workload identity
/// (AZURE_FEDERATED_TOKEN_FILE beside the first two), who has logged in by `az login`,
/// and the identity of the machine or App Service. The first two are known by their
/// variables; of the others the first that gives a token is taken when it is needed.
/// Unsupported for a service principal that has a certificate.
Result<AskToken> FindAzureCredentials(HttpSend send);

}  // namespace headrace::storage
