// Hashes by published examples; tokens by their own public key.
#include "storage/signature.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <string>
#include <vector>

#include "tests/cpp/lake.h"

namespace headrace::storage {
namespace {

using testing::Check;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Sha256Hex, IsThatOfFips180) {
  EXPECT_EQ(Sha256Hex(""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

// RFC 4231, test case 2: the key "Jefe".
TEST(HmacSha256, IsThatOfRfc4231) {
  EXPECT_EQ(Check(HmacSha256("SmVmZQ==", "what do ya want for nothing?")),
            "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=");
}

TEST(HmacSha256, RefusesAKeyThatIsNoBase64) {
  for (const char* key : {"a", "ab!d", "===="}) {
    EXPECT_EQ(KindOf(HmacSha256(key, "text").status()), ErrorKind::kInvalidArgument);
  }
}

std::string Bytes(std::string base64url) {
  for (char& c : base64url) {
    if (c == '-') c = '+';
    if (c == '_') c = '/';
  }
  size_t padding = 0;
  for (; base64url.size() % 4 != 0; ++padding) base64url += '=';
  std::vector<unsigned char> bytes(base64url.size());
  const int size = EVP_DecodeBlock(
      bytes.data(), reinterpret_cast<const unsigned char*>(base64url.data()),
      static_cast<int>(base64url.size()));
  return {bytes.begin(), bytes.begin() + size - static_cast<int>(padding)};
}

TEST(SignedToken, IsVerifiedByThePublicKey) {
  EVP_PKEY* key = EVP_RSA_gen(2048);
  BIO* pem = BIO_new(BIO_s_mem());
  ASSERT_EQ(PEM_write_bio_PrivateKey(pem, key, nullptr, nullptr, 0, nullptr, nullptr), 1);
  char* text = nullptr;
  const long size = BIO_get_mem_data(pem, &text);
  const std::string token =
      Check(SignedToken(R"({"alg":"RS256"})", R"({"iss":"me"})",
                        std::string_view(text, static_cast<size_t>(size))));
  const size_t first = token.find('.');
  const size_t second = token.rfind('.');
  EXPECT_EQ(Bytes(token.substr(0, first)), R"({"alg":"RS256"})");
  EXPECT_EQ(Bytes(token.substr(first + 1, second - first - 1)), R"({"iss":"me"})");
  const std::string signature = Bytes(token.substr(second + 1));
  EVP_MD_CTX* digest = EVP_MD_CTX_new();
  EVP_DigestVerifyInit(digest, nullptr, EVP_sha256(), nullptr, key);
  EXPECT_EQ(
      EVP_DigestVerify(digest, reinterpret_cast<const unsigned char*>(signature.data()),
                       signature.size(),
                       reinterpret_cast<const unsigned char*>(token.data()), second),
      1);
  EVP_MD_CTX_free(digest);
  BIO_free(pem);
  EVP_PKEY_free(key);
}

TEST(SignedToken, RefusesAKeyThatIsNoneAndDoesNotShowIt) {
  for (const char* key : {"", "HUSH", "-----BEGIN PRIVATE KEY-----\nHUSH\n"}) {
    const Status status = SignedToken("{}", "{}", key).status();
    EXPECT_EQ(KindOf(status), ErrorKind::kInvalidArgument);
    EXPECT_THAT(status.ToString(), Not(HasSubstr("HUSH")));
  }
}

}  // namespace
}  // namespace headrace::storage
