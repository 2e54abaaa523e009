# SPDX-License-Identifier: Apache-2.0
# Ruby: Puma with 32 threads, Net::HTTP over connections kept in a pool per backend.
require 'net/http'

BACKENDS = ENV['BACKENDS'].split(',').map(&:to_i)
PATHS = %w[/stock /reviews /price]
A, B, C = 0, 1, 2
RANDOM = Random.new(ENV['SEED'].to_i)

# A pool of connections; POOL > 0: who finds none waits for one.
class Pool
  def initialize(port, size)
    @port = port
    @idle = Queue.new
    @bounded = size > 0
    size.times { @idle << connect }
  end

  def connect
    http = Net::HTTP.new('127.0.0.1', @port)
    http.keep_alive_timeout = 300
    http.max_retries = 0
    http.start
  end

  def take
    return @idle.pop if @bounded
    @idle.pop(true)
  rescue ThreadError
    connect
  end

  def get(path, truth)
    http = take
    http.get(path, 'x-truth-id' => truth)
  ensure
    @idle << http if http
  end
end

POOLS = BACKENDS.map { |port| Pool.new(port, ENV['POOL'].to_i) }
JOBS = Queue.new

def worker
  Thread.new do
    loop do
      job, done = JOBS.pop
      job.call
      done << true
    end
  end
end

TOGETHER = Queue.new
4.times { worker }
64.times do
  Thread.new do
    loop do
      job, done = TOGETHER.pop
      job.call
      done << true
    end
  end
end

# The calls of one request.
class Calls
  def initialize(token, truth)
    @token = token
    @truth = truth
  end

  def call(which)
    POOLS[which].get(PATHS[which] + (@token && which != C ? "/#{@token}" : ''), @truth)
  end

  def together(*all)
    done = Queue.new
    all.each { |which| TOGETHER << [-> { call(which) }, done] }
    all.size.times { done.pop }
  end

  def queued(*all)
    done = Queue.new
    JOBS << [-> { all.each { |which| call(which) } }, done]
    done.pop
  end

  def r1; call(A); together(B, C); end
  def r2; call(A); call(B); call(C); end
  def r3; pause(1, 6); call(B); pause(0, 5); call(C); end
  def r4; pause(0, 3); end
  def r5; together(B, B, B); end
  def r6; call(A); call(C) if RANDOM.rand < 0.5; pause(1, 3); end
  def r7; work(1); call(B); work(0.5); call(C); end
  def r8; queued(A, B); end

  private

  def pause(low, high)
    sleep((low + RANDOM.rand * (high - low)) / 1e3)
  end

  def work(ms)
    finish = Process.clock_gettime(Process::CLOCK_MONOTONIC) + ms / 1e3
    nil while Process.clock_gettime(Process::CLOCK_MONOTONIC) < finish
  end
end

run(lambda do |env|
  _, route, token = env['PATH_INFO'].split('/')
  Calls.new(token, env['HTTP_X_TRUTH_ID']).public_send(route)
  [200, { 'content-length' => '4' }, ['done']]
end)
