from clipbench.cli import main

main()
