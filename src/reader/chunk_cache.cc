#include "reader/chunk_cache.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace headrace::reader {
namespace {

bool Covers(const ByteRange& whole, int64_t offset, int64_t size) {
  return offset >= whole.offset && offset + size <= whole.offset + whole.size;
}

/// The ranges in order, those that lie side by side as one.
std::vector<ByteRange> Merged(std::vector<ByteRange> ranges) {
  std::ranges::sort(ranges, {}, &ByteRange::offset);
  std::vector<ByteRange> merged;
  for (const ByteRange& range : ranges) {
    if (!merged.empty() && merged.back().offset + merged.back().size >= range.offset) {
      ByteRange& last = merged.back();
      last.size = std::max(last.size, range.offset + range.size - last.offset);
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

class FileWithBlocks : public arrow::io::RandomAccessFile {
 public:
  FileWithBlocks(std::shared_ptr<arrow::io::RandomAccessFile> file,
                 ChunkCache::Blocks blocks)
      : file_(std::move(file)), blocks_(std::move(blocks)) {}

  arrow::Status Close() override { return file_->Close(); }
  bool closed() const override { return file_->closed(); }
  arrow::Result<int64_t> Tell() const override { return file_->Tell(); }
  arrow::Status Seek(int64_t position) override { return file_->Seek(position); }
  arrow::Result<int64_t> GetSize() override { return file_->GetSize(); }
  arrow::Result<int64_t> Read(int64_t nbytes, void* out) override {
    return file_->Read(nbytes, out);
  }
  arrow::Result<std::shared_ptr<arrow::Buffer>> Read(int64_t nbytes) override {
    return file_->Read(nbytes);
  }
  arrow::Result<int64_t> ReadAt(int64_t position, int64_t nbytes, void* out) override {
    const ChunkCache::Block* block = Holding(position, nbytes);
    if (block == nullptr) return file_->ReadAt(position, nbytes, out);
    std::memcpy(out, block->bytes->data() + (position - block->range.offset),
                static_cast<size_t>(nbytes));
    return nbytes;
  }
  arrow::Result<std::shared_ptr<arrow::Buffer>> ReadAt(int64_t position,
                                                       int64_t nbytes) override {
    const ChunkCache::Block* block = Holding(position, nbytes);
    if (block == nullptr) return file_->ReadAt(position, nbytes);
    return arrow::SliceBuffer(block->bytes, position - block->range.offset, nbytes);
  }

 private:
  const ChunkCache::Block* Holding(int64_t position, int64_t nbytes) const {
    for (const auto& block : blocks_) {
      if (Covers(block->range, position, nbytes)) return block.get();
    }
    return nullptr;
  }

  std::shared_ptr<arrow::io::RandomAccessFile> file_;
  ChunkCache::Blocks blocks_;
};

}  // namespace

std::shared_ptr<ChunkCache::Block> ChunkCache::Find(int64_t fragment,
                                                    const ByteRange& chunk) {
  for (auto at = blocks_.begin(); at != blocks_.end(); ++at) {
    if ((*at)->fragment != fragment) continue;
    if (!Covers((*at)->range, chunk.offset, chunk.size)) continue;
    blocks_.splice(blocks_.end(), blocks_, at);
    return blocks_.back();
  }
  return nullptr;
}

bool ChunkCache::MakeRoom(int64_t bytes) {
  for (auto at = blocks_.begin(); at != blocks_.end() && bytes_ + bytes > capacity_;) {
    if (at->use_count() > 1) {
      ++at;
      continue;
    }
    bytes_ -= (*at)->range.size;
    at = blocks_.erase(at);
  }
  return bytes_ + bytes <= capacity_;
}

void ChunkCache::Drop(const std::shared_ptr<Block>& block) {
  bytes_ -= block->range.size;
  blocks_.remove(block);
}

Status ChunkCache::Load(const std::shared_ptr<Block>& block,
                        arrow::io::RandomAccessFile* file) {
  ARROW_ASSIGN_OR_RAISE(auto bytes, arrow::AllocateBuffer(block->range.size, pool_));
  ARROW_ASSIGN_OR_RAISE(
      const int64_t got,
      file->ReadAt(block->range.offset, block->range.size, bytes->mutable_data()));
  // What the file lacks is told by who needs it.
  if (got == block->range.size) block->bytes = std::move(bytes);
  return Status::OK();
}

Result<ChunkCache::Blocks> ChunkCache::Get(int64_t fragment,
                                           const std::vector<ByteRange>& chunks,
                                           arrow::io::RandomAccessFile* file) {
  std::vector<std::shared_ptr<Block>> found;
  std::vector<std::shared_ptr<Block>> added;
  std::unique_lock lock(mutex_);
  std::vector<ByteRange> missing;
  for (const ByteRange& chunk : chunks) {
    auto block = Find(fragment, chunk);
    if (block == nullptr) {
      missing.push_back(chunk);
    } else if (std::ranges::find(found, block) == found.end()) {
      found.push_back(std::move(block));
    }
  }
  for (const ByteRange& range : Merged(std::move(missing))) {
    if (!MakeRoom(range.size)) continue;
    added.push_back(std::make_shared<Block>(Block{fragment, range, nullptr, true}));
    blocks_.push_back(added.back());
    bytes_ += range.size;
  }
  Status failure;
  for (const auto& block : added) {
    lock.unlock();
    Status status = failure.ok() ? Load(block, file) : failure;
    lock.lock();
    block->loading = false;
    if (block->bytes == nullptr) Drop(block);
    loaded_.notify_all();
    // Without memory there is reading bit by bit.
    if (!status.IsOutOfMemory() && failure.ok()) failure = std::move(status);
  }
  ARROW_RETURN_NOT_OK(failure);
  Blocks blocks;
  found.insert(found.end(), added.begin(), added.end());
  for (const auto& block : found) {
    loaded_.wait(lock, [&] { return !block->loading; });
    if (block->bytes != nullptr) blocks.push_back(block);
  }
  return blocks;
}

std::shared_ptr<arrow::io::RandomAccessFile> WithBlocks(
    std::shared_ptr<arrow::io::RandomAccessFile> file, ChunkCache::Blocks blocks) {
  return std::make_shared<FileWithBlocks>(std::move(file), std::move(blocks));
}

}  // namespace headrace::reader
