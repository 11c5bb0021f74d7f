raise "at load"
