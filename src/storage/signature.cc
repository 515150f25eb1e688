#include "storage/signature.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <memory>

namespace headrace::storage {
namespace {

template <auto free_function>
struct FreedBy {
  template <typename T>
  void operator()(T* held) const {
    free_function(held);
  }
};
using Key = std::unique_ptr<EVP_PKEY, FreedBy<EVP_PKEY_free>>;
using Bio = std::unique_ptr<BIO, FreedBy<BIO_free_all>>;
using Digest = std::unique_ptr<EVP_MD_CTX, FreedBy<EVP_MD_CTX_free>>;

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string Base64(std::string_view bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                   Bytes(bytes), static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(size));
  return text;
}

std::string Base64Url(std::string_view bytes) {
  std::string text = Base64(bytes);
  for (char& c : text) {
    if (c == '+') c = '-';
    if (c == '/') c = '_';
  }
  while (text.ends_with('=')) text.pop_back();
  return text;
}

Result<std::string> FromBase64(std::string_view text) {
  std::string bytes(3 * (text.size() / 4) + 1, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                   Bytes(text), static_cast<int>(text.size()));
  const size_t padding = text.size() - text.find_last_not_of('=') - 1;
  if (size < 0 || padding > 2) {
    return Error(ErrorKind::kInvalidArgument, "a key is not base64");
  }
  bytes.resize(static_cast<size_t>(size) - std::min<size_t>(padding, size));
  return bytes;
}

// The error of a private key must not quote it.
Status BadKey() {
  return Error(ErrorKind::kInvalidArgument,
               "the private key of the service account is no RSA key in PEM");
}

}  // namespace

std::string Sha256Hex(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest = {};
  unsigned size = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr);
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (unsigned i = 0; i < size; ++i) {
    text += kDigits[digest.at(i) >> 4U];
    text += kDigits[digest.at(i) & 15U];
  }
  return text;
}

Result<std::string> HmacSha256(std::string_view key_base64, std::string_view text) {
  ARROW_ASSIGN_OR_RAISE(const std::string key, FromBase64(key_base64));
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest = {};
  unsigned size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), Bytes(text), text.size(),
       digest.data(), &size);
  return Base64({reinterpret_cast<const char*>(digest.data()), size});
}

Result<std::string> SignedToken(std::string_view header, std::string_view claims,
                                std::string_view private_key_pem) {
  const std::string signed_part = Base64Url(header) + "." + Base64Url(claims);
  const Bio pem(
      BIO_new_mem_buf(private_key_pem.data(), static_cast<int>(private_key_pem.size())));
  // Without a callback of its own it would ask the terminal for a pass phrase.
  auto no_phrase = [](char*, int, int, void*) { return -1; };
  const Key key(PEM_read_bio_PrivateKey(pem.get(), nullptr, no_phrase, nullptr));
  if (key == nullptr || EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_RSA) return BadKey();
  const Digest digest(EVP_MD_CTX_new());
  size_t size = 0;
  if (EVP_DigestSignInit(digest.get(), nullptr, EVP_sha256(), nullptr, key.get()) != 1 ||
      EVP_DigestSign(digest.get(), nullptr, &size, Bytes(signed_part),
                     signed_part.size()) != 1) {
    return BadKey();
  }
  std::string signature(size, '\0');
  if (EVP_DigestSign(digest.get(), reinterpret_cast<unsigned char*>(signature.data()),
                     &size, Bytes(signed_part), signed_part.size()) != 1) {
    return BadKey();
  }
  signature.resize(size);
  return signed_part + "." + Base64Url(signature);
}

}  // namespace headrace::storage
