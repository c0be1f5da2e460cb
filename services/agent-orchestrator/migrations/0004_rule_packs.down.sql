DROP TABLE rule_pack_choice;
DROP TABLE rule_pack;
