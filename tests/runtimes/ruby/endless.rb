def main(args)
  main(args)
end
