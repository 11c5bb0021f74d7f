def main(_args)
  raise "nooooo"
end
