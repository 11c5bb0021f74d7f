# frozen_string_literal: true

# Loads one Ruby action and runs it, once for every line the action proxy sends.
#
# Called as `launcher.rb CODE_DIR MAIN`, or without arguments: then the first line on descriptor 0 has them, and the
# variables of the action. Requests come in on descriptor 0, answers leave on descriptor 3, one line of JSON each;
# descriptors 1 and 2 are the action's logs. The first answer says whether the action could be loaded, and if not, why:
# that text is what the developer gets to read. Files have upstream's names (apache/openwhisk-runtime-ruby).

require "json"

# Everything here is in a module of its own: what an action defines at its top level is visible everywhere.
module OxwhiskLauncher
  # What is wrong with the uploaded code, as a sentence.
  class Refused < StandardError; end

  # Anything but `exit`, signals, and a lack of memory.
  CAUGHT = [StandardError, ScriptError, SystemStackError].freeze

  module_function

  # Gems that came with the code: as Bundler installs them into `vendor/bundle`, or as it packs them into
  # `vendor/cache`. What is loaded by `bundle/bundler/setup`, the code loads itself.
  def add_gems(code_dir)
    vendor = File.join(code_dir, "vendor")
    home = File.join(vendor, "bundle", "ruby", RbConfig::CONFIG["ruby_version"])
    packed = Dir[File.join(vendor, "cache", "*.gem")]
    unless packed.empty?
      require "rubygems/installer"
      packed.sort.each do |gem|
        Gem::Installer.at(gem, install_dir: home, ignore_dependencies: true, document: [], env_shebang: true).install
      end
    end
    homes = Dir[File.join(vendor, "bundle", "ruby", "*")]
    Gem.use_paths(Gem.dir, homes + Gem.path) unless homes.empty?
  end

  # Loads the action's file and returns its entry point.
  def load_action(code_dir, main)
    Dir.chdir(code_dir)
    File.rename("exec", "main.rb") if File.file?("exec") && !File.file?("main.rb")
    raise Refused, "Zip file does not include main.rb" unless File.file?("main.rb")

    $LOAD_PATH.unshift(code_dir)
    add_gems(code_dir)
    require File.join(code_dir, "main.rb")
    *modules, name = main.split(/\.|::/)
    begin
      owner = modules.empty? ? TOPLEVEL_BINDING.receiver : Object.const_get(modules.join("::"))
      owner.method(name)
    rescue NameError
      raise Refused, "The action's code does not define '#{main}'."
    end
  end

  # Why an action does not load, without the frames of this file.
  def describe(error)
    return error.message if error.is_a?(Refused)

    frames = (error.backtrace || []).reject { |frame| frame.include?(__FILE__) || frame.start_with?("<internal:") }
    ["#{error.class}: #{error.message}", *frames.map { |frame| "\tfrom #{frame}" }].join("\n")
  end

  # Log lines count towards the run that printed them only if they are out before its answer.
  def flush_logs
    [$stdout, $stderr, STDOUT, STDERR].uniq.each do |stream|
      stream.flush
    rescue IOError, SystemCallError, NoMethodError
      nil # The action closed or replaced it.
    end
  end

  # Moves the protocol to descriptors that neither the action's `gets` nor its children see.
  def private_channels
    requests = STDIN.dup
    STDIN.reopen(File::NULL)
    answers = IO.new(3, "wb")
    answers.close_on_exec = true
    answers.sync = true
    [requests.binmode, answers]
  end

  def parse(line)
    JSON.parse(line.force_encoding(Encoding::UTF_8), max_nesting: false)
  end

  def encode(value)
    JSON.generate(value, max_nesting: 0) << "\n"
  end

  def put(env)
    env.each { |name, value| ENV[name] = value if value.is_a?(String) && !value.include?("\0") }
  end

  # Sets the `__OW_*` variables of this activation and calls the action.
  def run(entry, request)
    value = request.delete("value")
    put(request.transform_keys { |key| "__OW_#{key.upcase}" })
    encode(entry.call(value.nil? ? {} : value))
  rescue *CAUGHT => e
    warn e.full_message(highlight: false)
    encode({ "error" => e.message.scrub })
  end

  # Loads, reports, and then answers until the proxy closes the channel.
  def serve(code_dir, main)
    # A file that becomes too large is an error of the write, not the end.
    trap("XFSZ", "IGNORE")
    requests, answers = private_channels
    if code_dir.nil?
      line = requests.gets or return 0
      order = parse(line)
      put(order["env"])
      code_dir, main = order.values_at("code_dir", "main")
    end
    begin
      entry = load_action(File.realpath(code_dir), main)
    rescue *CAUGHT => e
      text = describe(e).scrub
      warn text
      flush_logs
      answers.write(encode({ "ok" => false, "error" => text }))
      return 1
    end
    flush_logs
    answers.write("{\"ok\":true}\n")
    while (line = requests.gets)
      answer = run(entry, parse(line))
      flush_logs
      answers.write(answer)
    end
    0
  end
end

code_dir, main = ARGV
ARGV.clear
exit OxwhiskLauncher.serve(code_dir, main)
