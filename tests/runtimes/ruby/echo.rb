def main(args)
  puts "hello stdout"
  warn "hello stderr"
  args
end
