def main(args)
  args["lines"].times do
    puts "out " + "x" * 90
    warn "err " + "x" * 90
  end
  args
end
