from neurolink_mitm.cli import main

main(prog_name="neurolink")
