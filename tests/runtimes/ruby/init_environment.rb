AT_LOAD = ENV.fetch("SOME_VAR")

def main(_args)
  { "at_load" => AT_LOAD, "SOME_VAR" => ENV["SOME_VAR"], "ANOTHER_VAR" => ENV["ANOTHER_VAR"] }
end
