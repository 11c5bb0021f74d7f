def main(args)
  {
end
